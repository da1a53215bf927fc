"""A report as files: CSV, Parquet, a double-entry journal, FOCUS columns, one HTML page."""

from gpuagent.reports.exports.files import FORMATS, html, pieces, tables, text, write, write_all

__all__ = ["FORMATS", "html", "pieces", "tables", "text", "write", "write_all"]
