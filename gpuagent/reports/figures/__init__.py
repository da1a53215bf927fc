"""The figures of a report: frames in, frames and numbers out. Pure."""
