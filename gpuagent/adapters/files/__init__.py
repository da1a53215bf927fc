"""File stores: the port FileStore on GridFS and on a folder."""
