"""Named faults, each switchable for each vendor at run time. One function is one fault.

A fault's name is its function's name, and its description is the function's docstring. The table is
filled by the modules of this package, one for each stage of a sale.
"""

from mock_vendor.faults import file, job, offer, paid, quote, shape, work  # noqa: F401  (importing them fills the table)
from mock_vendor.faults.scene import ATTACKER
from mock_vendor.faults.switchboard import Faults
from mock_vendor.faults.table import TABLE, Fault
from mock_vendor.faults.work import BENT

__all__ = ["ATTACKER", "BENT", "TABLE", "Fault", "Faults"]
