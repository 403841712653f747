"""`python -m service` is `attendex`."""

from service.cli import main

main()
