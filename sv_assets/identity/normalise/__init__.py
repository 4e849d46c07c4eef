"""Contact data in the form in which it is compared. Pure functions over text; none of them ever raises for a text.

None means: nothing was given, or it is not what the field is for. Whether a value is a placeholder that many people
share is another question, answered by `Placeholders` from a list that the retailer keeps.
"""

from sv_assets.identity.normalise.addresses import Address, address
from sv_assets.identity.normalise.birth_dates import BirthDate, birth_date, same_birth_date, swapped
from sv_assets.identity.normalise.emails import Email, email
from sv_assets.identity.normalise.names import PersonName, person_name
from sv_assets.identity.normalise.nicknames import nickname_groups, same_first_name
from sv_assets.identity.normalise.phones import phone
from sv_assets.identity.normalise.placeholders import Placeholders
from sv_assets.identity.normalise.postcodes import Postcode, postcode
from sv_assets.identity.normalise.words import word

__all__ = [
    "Address",
    "BirthDate",
    "Email",
    "PersonName",
    "Placeholders",
    "Postcode",
    "address",
    "birth_date",
    "email",
    "nickname_groups",
    "person_name",
    "phone",
    "postcode",
    "same_birth_date",
    "same_first_name",
    "swapped",
    "word",
]
