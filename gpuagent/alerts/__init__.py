"""Alerts on their way to people: the channels that are configured, who may answer by a link, and the sender."""
