"""File stores: the port FileStore on GridFS, a folder or a bucket."""
