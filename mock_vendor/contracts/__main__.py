"""`python -m mock_vendor.contracts`: compile TestUSDC.vy and write the artifact that is committed."""

from mock_vendor.contracts import ARTIFACT, compile_source

ARTIFACT.write_text(compile_source().to_json() + "\n")
