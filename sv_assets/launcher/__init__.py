"""Starting runs on this machine without starting Python anew for each: see `WarmRunLauncher`."""

from sv_assets.launcher.warm import PROCESS_TAG, WarmRunLauncher

__all__ = ["PROCESS_TAG", "WarmRunLauncher"]
