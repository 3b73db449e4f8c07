"""Office files are ZIP archives: look at what they say they hold before anything is unpacked."""

from __future__ import annotations

import io
import zipfile

from qwendesk.errors import InputError

UNPACKED = 200 * 1024 * 1024
"""Most bytes that an archive may hold."""
MEMBERS = 10_000


def require_sane(data: bytes) -> None:
    """Refuse an archive that is broken, encrypted or unpacks to too much.

    Raises:
        InputError: it is one of these.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise InputError("the file is damaged or encrypted") from error
    size = sum(member.file_size for member in members)
    if size > UNPACKED or len(members) > MEMBERS:
        raise InputError(
            f"it would unpack to {size / 1e6:,.0f} MB in {len(members):,} parts; at most {UNPACKED / 1e6:,.0f} MB "
            "are taken"
        )
    if any(member.flag_bits & 1 for member in members):
        raise InputError("it is encrypted; save it without a password")
