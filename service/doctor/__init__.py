"""`python -m service doctor`: what running the service on this machine needs, checked first."""

from service.doctor.finding import Finding, is_healthy
from service.doctor.run import run_doctor

__all__ = ["Finding", "is_healthy", "run_doctor"]
