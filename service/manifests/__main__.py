"""Write every manifest that is made from code: `python -m service.manifests`."""

import sys
from pathlib import Path

from service.manifests.files import write

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Write what has changed, and name it."""
    changed = write(ROOT)
    for path in changed:
        print(path)
    print(f"{len(changed)} files changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
