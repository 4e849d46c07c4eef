"""The answer to a subject access request: JSON for machines, HTML and PDF for people, and a manifest with the hash of each."""

import base64
import datetime as dt
import hashlib
import html
import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

from bson import Decimal128

from sv_assets.mongo import Document
from sv_assets.privacy.files import write_private
from sv_assets.privacy.gather import Gathered, Section

RIGHTS = (
    "You may have wrong data put right (Art. 16 UK GDPR), data erased (Art. 17), their use restricted (Art. 18), object to their use "
    "(Art. 21), withdraw a consent at any time (Art. 7), and complain to the Information Commissioner's Office (ico.org.uk)."
)
ABOUT = "Data of other people have been taken out where they stood among yours. Where something says “[somebody else]”, it was about another person."
_FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu/DejaVuSans.ttf",
    "/Library/Fonts/Arial Unicode.ttf",
    "C:/Windows/Fonts/arial.ttf",
)
_MOST_PDF_DOCUMENTS = 100
_MOST_PDF_TEXT = 4000
"""So many documents of one collection, and so many letters of each, are written out in the PDF; all are in the JSON and the HTML."""
_WHOLE = "report.html and data.json"


def write_bundle(gathered: Gathered, folder: Path, *, request: str = "", now: dt.datetime | None = None) -> Path:
    """Write the bundle; returns its manifest. An older bundle there is overwritten."""
    now = now or dt.datetime.now(dt.timezone.utc)
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "data.json": _as_json(gathered, now).encode(),
        "report.html": _as_html(gathered, now).encode(),
        "report.pdf": _as_pdf(gathered, now),
    }
    for name, content in files.items():
        write_private(folder / name, content)
    manifest: Document = {
        "request": request,
        "made_at": now.isoformat(),
        "documents": gathered.documents,
        "redacted": gathered.redacted,
        "collections": {section.name: len(section.documents) for section in gathered.sections},
        "undeclared": gathered.undeclared,
        "files": [
            {"name": n, "bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in sorted(files.items())
        ],
    }
    manifest["sha256"] = own_hash(manifest)
    path = folder / "manifest.json"
    write_private(path, (json.dumps(manifest, indent=2) + "\n").encode())
    return path


def own_hash(manifest: Document) -> str:
    """The hash of a manifest itself: of its JSON, keys sorted, without `sha256`."""
    content = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def faults_of(folder: Path) -> list[str]:
    """What of a bundle is not as its manifest says; empty where all is."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    faults = [] if own_hash(manifest) == manifest["sha256"] else ["manifest.json was changed"]
    for entry in manifest["files"]:
        path = folder / entry["name"]
        if not path.exists():
            faults.append(f"{entry['name']} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            faults.append(f"{entry['name']} was changed")
    return faults


def _as_json(gathered: Gathered, now: dt.datetime) -> str:
    sections = [
        {"collection": s.name, "source": s.source, "owners": list(s.owners), "purpose": s.purpose, "legal_basis": s.basis, "retention": s.kept, "documents": s.documents}
        for s in gathered.sections
    ]  # fmt: skip
    whole = {
        "made_at": now,
        "customer_ids": gathered.customer_ids,
        "your_rights": RIGHTS,
        "about": ABOUT,
        "held": sections,
    }
    return json.dumps(whole, default=_plain, indent=1, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    if isinstance(value, Decimal128):
        return str(value.to_decimal())
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (Decimal, uuid.UUID)):
        return str(value)
    return str(value)


def _fields(value: Any, name: str = "") -> list[tuple[str, str]]:
    """A document as (path, text) pairs; what is empty is left out."""
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in _fields(item, f"{name}.{key}" if name else str(key))]
    if isinstance(value, list):
        return [pair for n, item in enumerate(value) for pair in _fields(item, f"{name} {n + 1}")]
    if value is None or value == "":
        return []
    if isinstance(value, bool):
        return [(name, "yes" if value else "no")]
    if isinstance(value, (int, float, str)):
        return [(name, str(value))]
    return [(name, _plain(value))]


def _title(section: Section) -> str:
    return f"{section.source} ({section.name})" if section.source else section.name


def _as_html(gathered: Gathered, now: dt.datetime) -> str:
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>What we hold about you</title><style>",
        "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}table{border-collapse:collapse;width:100%}",
        "td{border-top:1px solid #ddd;padding:.2em .6em;vertical-align:top}td:first-child{color:#666;width:30%}.why{background:#f4f4f4;padding:.6em}</style>",
        f"<h1>What we hold about you</h1><p>{now:%d %B %Y}. {gathered.documents:,} records in {len(gathered.sections)} places.</p>",
        f"<p>{html.escape(ABOUT)}</p><p>{html.escape(RIGHTS)}</p><h2>Where</h2><table>",
        *(
            f"<tr><td><a href='#s{n}'>{html.escape(_title(s))}</a></td><td>{len(s.documents):,}</td><td>{html.escape(s.purpose)}</td><td>{html.escape(s.kept)}</td></tr>"
            for n, s in enumerate(gathered.sections)
        ),
        "</table>",
    ]
    for n, section in enumerate(gathered.sections):
        why = f"Why: {section.purpose}. Legal basis: {section.basis or 'none needed'}. Kept: {section.kept}."
        parts.append(f"<h2 id='s{n}'>{html.escape(_title(section))}</h2><p class='why'>{html.escape(why)}</p>")
        for document in section.documents:
            cells = "".join(
                f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>" for name, text in _fields(document)
            )
            parts.append(f"<table>{cells}</table><br>")
    return "\n".join([*parts, "</html>\n"])


def _as_pdf(gathered: Gathered, now: dt.datetime) -> bytes:
    from fpdf import FPDF
    from fpdf.enums import WrapMode, XPos, YPos

    pdf = FPDF()
    pdf.set_creation_date(now)
    font = next((path for path in _FONTS if Path(path).exists()), None)
    family = "Helvetica"
    if font is not None:
        pdf.add_font("Text", fname=font)
        family = "Text"

    def text(line: str, size: int = 9) -> None:
        pdf.set_font(family, size=size)
        written = line if font is not None else line.encode("latin-1", "replace").decode("latin-1")
        pdf.multi_cell(
            0,
            size * 0.5,
            written,
            new_x=XPos.LMARGIN,
            new_y=YPos.NEXT,
            wrapmode=WrapMode.CHAR if size < 10 else WrapMode.WORD,
        )

    pdf.add_page()
    text("What we hold about you", 18)
    pdf.ln(4)
    for line in (f"{now:%d %B %Y}. {gathered.documents:,} records in {len(gathered.sections)} places.", ABOUT, RIGHTS):
        text(line, 10)
        pdf.ln(2)
    for section in gathered.sections:
        pdf.ln(4)
        text(_title(section), 13)
        text(f"Why: {section.purpose}. Legal basis: {section.basis or 'none needed'}. Kept: {section.kept}.", 10)
        for document in section.documents[:_MOST_PDF_DOCUMENTS]:
            pdf.ln(2)
            whole = "\n".join(f"{name}: {value}" for name, value in _fields(document))
            text(whole[:_MOST_PDF_TEXT])
            if len(whole) > _MOST_PDF_TEXT:
                text(f"… and more of this record, in {_WHOLE}.", 10)
        if len(section.documents) > _MOST_PDF_DOCUMENTS:
            text(f"… and {len(section.documents) - _MOST_PDF_DOCUMENTS:,} more, in {_WHOLE}.", 10)
    return bytes(pdf.output())
