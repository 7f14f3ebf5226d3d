"""Versions of vLLM that the plugin knows."""

from autojudge.errors import InputError

TESTED = ("0.32",)
READ = ("0.21", "0.25", "0.29", "0.33")  # their sources were read, nothing was run
V2_SINCE = (0, 31)  # logits processors of the V2 runner


def check_version(version: str, allowed: str | None) -> str:
    """Return what is to be said of a version of vLLM.

    Parameters
    ----------
    version : str
        Of vLLM, such as 0.32.0+cpu.
    allowed : str or None
        A version that the user wants served although it is not known.

    Raises
    ------
    InputError
        It is not known.
    """
    release = ".".join(version.split("+")[0].split(".")[:2])
    if release in TESTED:
        return f"vLLM {version}, tested"
    if release in READ:
        return f"vLLM {version}, whose source was read and which was NOT tested"
    if allowed == version:
        return f"vLLM {version}, UNKNOWN to this plugin and allowed by `allow_version`"
    raise InputError(
        f"this plugin does not know vLLM {version}: tested with {', '.join(TESTED)}, read {', '.join(READ)}; install "
        f'one of these, or set "allow_version": "{version}" beside "judge", and compare its tokens first '
        "(python -m autojudge.serving.check)"
    )


def release_of(version: str) -> tuple[int, int]:
    """Return major and minor number of a version; of one without numbers (0, 0)."""
    parts = version.split(".")
    return (int(parts[0]), int(parts[1])) if len(parts) > 1 and parts[0].isdigit() and parts[1].isdigit() else (0, 0)
