"""The words that the generated retailer is made of: names, towns, streets, products."""

from typing import NamedTuple


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FEMALE_OLD = _words(
    "Margaret Patricia Christine Susan Jean Mary Barbara Janet Elizabeth Linda Carol Sandra Ann Maureen Pamela "
    "Sheila Judith Dorothy Joan Pauline Brenda Valerie Hilary Gillian Rosemary Kathleen Eileen Moira Bronwen Siân "
    "Catherine"
)
FEMALE_MID = _words(
    "Sarah Nicola Joanne Karen Claire Deborah Tracey Jacqueline Michelle Samantha Victoria Rachel Emma Lisa Helen "
    "Katherine Rebecca Alison Jennifer Louise Fiona Priya Ayesha Zoë Renée Aoife Angharad Anna Agnieszka Ngozi"
)
FEMALE_YOUNG = _words(
    "Charlotte Jessica Olivia Amelia Chloe Emily Sophie Lauren Megan Hannah Bethany Georgia Ella Grace Freya "
    "Chloë Niamh Saoirse Zainab Aisha Maryam Poppy Isabella Abigail Eleanor Francesca Natalie Imogen Zofia Temi"
)
MALE_OLD = _words(
    "John David Michael Peter Robert Anthony Brian Alan William James Richard Kenneth Roger Keith Colin Geoffrey "
    "Dennis Raymond Derek Terence Trevor Malcolm Graham Norman Hugh Gareth Seán Edward Thomas Ronald"
)
MALE_MID = _words(
    "Paul Mark Andrew Steven Christopher Stephen Simon Ian Gary Kevin Martin Jonathan Matthew Daniel Nicholas "
    "Philip Timothy Stuart Neil Darren Rhys Imran Sanjay Tomasz José André Kwame Benjamin Samuel Joseph"
)
MALE_YOUNG = _words(
    "Jack Thomas Joshua Oliver Harry Charlie George Callum Ryan Luke Adam Liam Connor Jake Alexander Lewis Nathan "
    "Muhammad Mohammed Zac Finlay Oisín Dylan Jakub Omar Tobi Edward Theodore Benjamin Samuel"
)
NICKNAMES = dict(
    pair.split(":")
    for pair in _words(
        "Robert:Bob Elizabeth:Liz William:Bill Margaret:Maggie Michael:Mike Richard:Dick Patricia:Pat Christine:Chris "
        "Susan:Sue Christopher:Chris Katherine:Kate Anthony:Tony Catherine:Cathy Jennifer:Jenny Deborah:Debbie "
        "Jacqueline:Jackie Samantha:Sam Victoria:Vicky Rebecca:Becky Andrew:Andy Steven:Steve Stephen:Steve "
        "Matthew:Matt Daniel:Dan Nicholas:Nick Philip:Phil Timothy:Tim Thomas:Tom Joshua:Josh Benjamin:Ben Samuel:Sam "
        "Joseph:Joe Edward:Ted James:Jim Kenneth:Ken Geoffrey:Geoff Terence:Terry Jonathan:Jon Alexander:Alex "
        "Charlotte:Lottie Jessica:Jess Abigail:Abi Eleanor:Ellie Isabella:Bella Francesca:Fran Theodore:Theo "
        "Muhammad:Mo Mohammed:Mo Tomasz:Tom Agnieszka:Aga Pamela:Pam Judith:Judy"
    )
)
SURNAMES = _words(
    "Smith Jones Taylor Brown Williams Wilson Johnson Davies Patel Robinson Wright Thompson Evans Walker White "
    "Roberts Green Hall Wood Jackson Clarke Clark Khan Harris Lewis Hughes Edwards Martin Cooper King Ward Turner "
    "Hill Moore Morris Singh Baker Harrison Ahmed Morgan Allen Scott Watson Parker James Bennett Young Phillips "
    "Richardson Mitchell Bailey Carter Cook Kaur Shaw Bell Collins Murphy Hussain Begum Kelly Cox Miller Adams "
    "Richards Marshall Anderson Price Wilkinson Campbell Gray Foster Mason Rogers Webb Hunt Palmer Chapman Mills "
    "Holmes Knight Stevens Barnes Matthews Fletcher Butler Graham Barker Pearson Jenkins Dixon Butcher Harvey "
    "Lloyd Fisher Gibson Howard Andrews Elliott Reynolds Ford Fox Grant Payne Powell Francis Lawrence Saunders "
    "West Dean Spencer Burton Hart Hudson Armstrong Nicholson Cunningham Riley Gardner Carr Walsh Lane Byrne Ryan "
    "Johnston Perry Bird Ferguson Hamilton Stewart Murray O'Neill O'Brien O'Connor O'Sullivan D'Souza MacDonald "
    "McKenzie McCarthy McLean Macleod Fitzgerald Brennan Gallagher Kowalski Nowak Wiśniewski Kamiński García "
    "Fernández Silva Müller Schröder Dvořák Popescu Ivanov Rossi Bianchi Okafor Adeyemi Mensah Owusu Nwosu Osei "
    "Chukwu Abdi Hassan Mohamed Rahman Islam Chowdhury Miah Akhtar Malik Iqbal Sharma Gupta Mistry Shah Desai "
    "Joshi Reddy Iyer Sandhu Gill Dhillon Chan Wong Li Chen Zhang Nguyen Tran Kim Pryce-Jones Ashworth Entwistle "
    "Ramsbottom Blenkinsop Trelawney Penhaligon Fairweather Featherstone Cholmondeley Thistlethwaite Higginbotham "
    "Postlethwaite Ormerod Sutcliffe Ackroyd Braithwaite Hardcastle Oldroyd Rawcliffe Pemberton Wetherby Aldridge "
    "Bancroft Chadwick Dalton Eastwood Farrow Goodwin Hargreaves Ingham Jarvis Kirkham Langley Maddox Naylor "
    "Osborne Pickering Quigley Rowbotham Sheldon Thorpe Underwood Vickers Whitaker Yates"
)


class Town(NamedTuple):
    name: str
    county: str
    outward: str
    dialling: str


TOWNS = tuple(
    Town(*line.split(","))
    for line in """\
London,Greater London,SE,207
London,Greater London,N,208
Birmingham,West Midlands,B,1214
Manchester,Greater Manchester,M,1614
Liverpool,Merseyside,L,1514
Newcastle upon Tyne,Tyne and Wear,NE,1914
Edinburgh,Midlothian,EH,1314
Glasgow,Lanarkshire,G,1414
Cambridge,Cambridgeshire,CB,1223
Brighton,East Sussex,BN,1273
York,North Yorkshire,YO,1904
Oxford,Oxfordshire,OX,1865
Exeter,Devon,EX,1392
Plymouth,Devon,PL,1752
Norwich,Norfolk,NR,1603
Hull,East Riding of Yorkshire,HU,1482
Bath,Somerset,BA,1225
Gloucester,Gloucestershire,GL,1452
Lincoln,Lincolnshire,LN,1522
Peterborough,Cambridgeshire,PE,1733
Northampton,Northamptonshire,NN,1604
Milton Keynes,Buckinghamshire,MK,1908
Bournemouth,Dorset,BH,1202
Salisbury,Wiltshire,SP,1722
Derby,Derbyshire,DE,1332
Truro,Cornwall,TR,1872
Shrewsbury,Shropshire,SY,1743
Chester,Cheshire,CH,1244
Preston,Lancashire,PR,1772
Lancaster,Lancashire,LA,1524
Carlisle,Cumbria,CA,1228
Darlington,County Durham,DL,1325
Middlesbrough,North Yorkshire,TS,1642
Harrogate,North Yorkshire,HG,1423
Huddersfield,West Yorkshire,HD,1484
Aberdeen,Aberdeenshire,AB,1224
Dundee,Angus,DD,1382
Perth,Perthshire,PH,1738
Inverness,Highland,IV,1463
Swansea,West Glamorgan,SA,1792
Newport,Gwent,NP,1633
Wrexham,Clwyd,LL,1978
Bangor,Gwynedd,LL,1248
Belfast,County Antrim,BT,289
""".splitlines()
)

STREETS = tuple(
    f"{name} {kind}"
    for kind in ("Road", "Street", "Lane", "Avenue", "Close", "Drive", "Gardens", "Crescent", "Terrace", "Way")
    for name in _words(
        "High Church Station Victoria Albert Mill Manor Park Queens Kings Chapel Green School Orchard Windsor Grange "
        "Springfield Alexandra Stanley George Alma Bramble Cedar Beech Elm Oak Chestnut Hawthorn Primrose Rectory "
        "Quarry Wellington Nelson Trafalgar Balmoral Priory Castle Abbey Kestrel Swallow"
    )
)
ABROAD = (
    ("14 Rue des Lilas", "Lyon", "69003", "FR"),
    ("8 Sráid na Trá", "Galway", "H91 E2K3", "IE"),
    ("Hauptstraße 27", "Köln", "50667", "DE"),
    ("Calle Mayor 5", "Málaga", "29001", "ES"),
    ("31 Main Street", "Cork", "T12 W8KP", "IE"),
)

EMAIL_DOMAINS = _words(
    "example.com example.com example.com example.org example.net mailbox.example mailbox.example postbox.example "
    "webmail.example inbox.example broadband.example northmail.example fastnet.example"
)
PLACEHOLDER_EMAILS = (
    "none@none.com",
    "test@test.com",
    "noemail@example.com",
    "no@email.com",
    "n/a",
    "customer@example.com",
)
PLACEHOLDER_PHONES = ("01234567890", "00000000000", "07000000000", "0", "n/a", "11111111111")

_FAMILIES = (
    ("Kettle", 2499), ("Duvet cover", 1999), ("Raincoat", 4599), ("Armchair", 18999), ("Desk lamp", 1799),
    ("Towel", 899), ("Saucepan", 2150), ("Bookcase", 7499), ("Jumper", 3200), ("Garden bench", 12900),
    ("Rug", 5999), ("Mug", 450), ("Curtains", 3899), ("Toaster", 2999), ("Cushion", 1250),
)  # fmt: skip
_VARIANTS = (("Slate", "small"), ("Sage", "medium"), ("Navy", "large"), ("Cream", "extra large"))
PRODUCTS = tuple(
    (f"{family[:3].upper()}-{1000 + 7 * i + 131 * f}", f"{colour} {family.lower()}, {size}", price + 250 * i)
    for f, (family, price) in enumerate(_FAMILIES)
    for i, (colour, size) in enumerate(_VARIANTS)
)
"""Sku, description, price in pence."""
CALL_REASONS = ("delivery", "return", "product_question", "payment", "account", "complaint", "stock", "other")
CALL_NOTES = (
    "Asked where the parcel is; read out the carrier's status.",
    "Wants to return; explained the returns label.",
    "Card declined at check-out, tried again and worked.",
    "Moved house, asked to update the address.",
    "Asked for a colour that is out of stock.",
    "Caller hung up.",
    None,
    "",
)
COMPLAINT_CATEGORIES = ("late_delivery", "damaged", "wrong_item", "service", "refund_delay", "quality")
REFUND_REASONS = ("Damaged in transit", "Changed mind", "Wrong item sent", "Faulty", "Late delivery", "Order cancelled")
CARRIERS = ("Parcelwing", "Northern Post", "Swiftvan")
