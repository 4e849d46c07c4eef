"""Who may see what of whom, for what purpose; and the log of who did.

One declaration of roles (`defs/privacy/roles.yaml`) drives this read path and the roles of MongoDB (`mongo_roles`). Every
function that returns customer data takes an `Actor`, writes to `control.access_log`, and returns what the role may see.
"""

from sv_assets.access.actor import Actor, actor_from_environment
from sv_assets.access.log import Attempt
from sv_assets.access.masking import masked_text
from sv_assets.access.reading import Permission, permission, shown
from sv_assets.access.roles import Roles, load_roles

__all__ = [
    "Actor",
    "Attempt",
    "Permission",
    "Roles",
    "actor_from_environment",
    "load_roles",
    "masked_text",
    "permission",
    "shown",
]
