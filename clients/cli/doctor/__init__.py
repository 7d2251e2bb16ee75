"""`omnisift doctor`, a file per thing that is checked."""

from clients.cli.doctor.command import add_doctor, run_doctor

__all__ = ["add_doctor", "run_doctor"]
