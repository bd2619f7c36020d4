"""Every format by a small example: recognised by content, read to the same edges."""

import bz2
import datetime
import gzip
import tarfile
import zipfile

import openpyxl
import pytest

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.evaluate.knowledge import formats
from gpo_vae_jax.evaluate.knowledge.networks import read_network

EXAMPLES = {
    "trrust": "AATF\tBAX\tRepression\t22909821\nAATF\tMYC\tActivation\t20549547;1\n",
    "regnetwork": "AATF\t26574\tBAX\t581\nhsa-miR-1\tMIMAT0000416\tMYC\t4609\n",
    "gmt": "A complex (human)\t\tAATF\tBAX\tMYC\t\nalone\thttp://a.b/c\tTP53\n",
    "corum": (
        "ComplexID\tComplexName\tOrganism\tsubunits(Gene name)\n"
        '1\tthe "one" complex\tHuman\tAATF;BAX; MYC\n2\tother\tMouse\tTp53;Sox2\n'
        "3\talone\tHuman\tTP53\n"
    ),
    "biogrid": (
        "#BioGRID Interaction ID\tOfficial Symbol Interactor A\tOfficial Symbol Interactor B\t"
        "Organism ID Interactor A\tOrganism ID Interactor B\n"
        "1\tAATF\tBAX\t9606\t9606\n2\tMYC\tSox2\t9606\t10090\n3\tTP53\tTP53\t9606\t9606\n"
    ),
    "string": "protein1 protein2 combined_score\n9606.P1 9606.P2 700\n9606.P1 9606.P3 699\n",
    "edges": "source,target,score\nAATF,BAX,0.5\nAATF,MYC,0.1\n",
}
PAIRS = {
    "trrust": {("AATF", "BAX", "repression"), ("AATF", "MYC", "activation")},
    "regnetwork": {("AATF", "BAX", ""), ("hsa-miR-1", "MYC", "")},
    "gmt": {("AATF", "BAX", ""), ("AATF", "MYC", ""), ("BAX", "MYC", "")},
    "corum": {("AATF", "BAX", ""), ("AATF", "MYC", ""), ("BAX", "MYC", "")},
    "biogrid": {("AATF", "BAX", "")},
    "string": {("P1", "P2", "")},
    "edges": {("AATF", "BAX", ""), ("AATF", "MYC", "")},
}


def pairs(table):
    return set(table.edges.itertuples(index=False, name=None))


@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize("packed", ["plain", "gz", "zip"])
def test_example_is_recognised_and_read_whatever_its_packing(tmp_path, kind, packed):
    path = tmp_path / "file.txt"
    text = EXAMPLES[kind].encode()
    if packed == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inside.txt", text)
    else:
        path.write_bytes(gzip.compress(text) if packed == "gz" else text)
    assert formats.recognise(path) == kind
    assert pairs(formats.READERS[kind](path)) == PAIRS[kind]


def test_genes_without_an_edge_are_still_covered(tmp_path):
    path = tmp_path / "x.txt"
    for kind in ("gmt", "corum", "biogrid"):
        path.write_text(EXAMPLES[kind])
        assert "TP53" in formats.READERS[kind](path).genes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A B\nC D\n", {("A", "B", ""), ("C", "D", "")}),
        ("A\tB\t0.3\n10\t20\t1\n", {("A", "B", ""), ("10", "20", "")}),
        ('"rank","source","target"\n1,NA,nan\n2,"a,b",c\n', {("NA", "nan", ""), ("a,b", "c", "")}),
        ("tf;gene;mor\nA;B;-1\nB;A;1\n", {("A", "B", "-1"), ("B", "A", "1")}),
        ("target\tsource\nB\tA\n", {("A", "B", "")}),
        ("A,A\nA,B\nA,B\n,B\n", {("A", "B", "")}),
    ],
)
def test_lists_of_edges_in_many_forms(tmp_path, text, expected):
    path = tmp_path / "edges.txt"
    path.write_text(text)
    assert formats.recognise(path) == "edges"
    assert pairs(formats.read_edges(path)) == expected


def test_string_takes_names_from_the_file_beside_it_and_the_score_asked(tmp_path):
    links = tmp_path / "9606.protein.physical.links.detailed.v12.0.txt.gz"
    links.write_bytes(gzip.compress(EXAMPLES["string"].encode()))
    info = tmp_path / "9606.protein.info.v12.0.txt.gz"
    info.write_bytes(
        gzip.compress(b"#string_protein_id\tpreferred_name\n9606.P1\tAATF\n9606.P2\tBAX\n", mtime=0)
    )
    assert pairs(formats.read_string(links)) == {("AATF", "BAX", "")}
    both = pairs(formats.read_string(links, score=600))
    assert both == {("AATF", "BAX", ""), ("AATF", "P3", "")}  # P3 has no name
    named = tmp_path / "other.tsv"
    named.write_text("#string_protein_id\tpreferred_name\n9606.P1\tX\n9606.P2\tY\n")
    assert pairs(formats.read_string(links, names=named)) == {("X", "Y", "")}


def test_exports_of_strings_site_score_from_0_to_1(tmp_path):
    path = tmp_path / "string_interactions.tsv"
    path.write_text("#node1\tnode2\tcombined_score\nAATF\tBAX\t0.9\nAATF\tMYC\t0.4\nA\tB\t1\n")
    assert formats.recognise(path) == "string"
    assert pairs(formats.read_string(path)) == {("AATF", "BAX", ""), ("A", "B", "")}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"gene\nTP53\n", "not recognised"),
        (b"A\tB\n\x81\x82\tC\n", "cannot be read as text"),
        (b"\xff\xfeA\0\n", "cannot be read as text"),
        (b"\x00\x01\x02", "is a binary file, not a table; export"),
        (gzip.compress(b"A\tB\n\0", mtime=0), "is a binary file"),
        (b"\x89HDF\r\n\x1a\n\0\0", "is an HDF5 file, such as h5ad, not a table; export"),
        (b"\xd0\xcf\x11\xe0\xa1", r"a spreadsheet of the old kind \(xls\), .*save it as xlsx"),
        (b"PAR1\x15", "is a Parquet file"),
        (bz2.compress(b"A\tB\n"), "is compressed by bzip2, .*unpack"),
        (b"\n<!DOCTYPE html><html>", "is a web page, not a table; download the file itself"),
        (b"\x1f\x8bnot gzip", "cannot be read"),
        (b"PK\x03\x04not zip", "cannot be read"),
    ],
)
def test_what_is_no_network_says_so(tmp_path, content, says):
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says):
        formats.recognise(path)
    with pytest.raises(DataError, match="there is no file"):
        formats.recognise(tmp_path / "nosuch.tsv")


def workbook(path, *rows):
    """Write rows as the first sheet of an xlsx, and remarks as the second."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.create_sheet("remarks").append(["about", "this", "file"])
    book.save(path)


@pytest.mark.parametrize("name", ["edges.xlsx", "download"])
def test_the_first_sheet_of_a_spreadsheet_is_read(tmp_path, name):
    path = tmp_path / name
    workbook(path, ["score", "regulator", "target"], [0.5, "AATF", "BAX"], [1, "NA", 10])
    assert formats.recognise(path) == "edges"
    assert pairs(formats.read_edges(path)) == {("AATF", "BAX", ""), ("NA", "10", "")}
    network = read_network("mine", path)
    assert network.kind == "edges" and network.genes == {"AATF", "BAX", "NA", "10"}


@pytest.mark.parametrize("kind", ["trrust", "corum", "biogrid"])
def test_a_spreadsheet_of_another_format(tmp_path, kind):
    path = tmp_path / "x.xlsx"
    workbook(path, *(line.split("\t") for line in EXAMPLES[kind].replace('"', "").splitlines()))
    assert formats.recognise(path) == kind
    assert pairs(formats.READERS[kind](path)) == PAIRS[kind]


def test_genes_that_a_spreadsheet_took_for_dates_are_refused(tmp_path):
    path = tmp_path / "x.xlsx"
    workbook(path, ["regulator", "target"], ["MYC", datetime.date(2026, 9, 2)])
    with pytest.raises(DataError, match=r"spreadsheet with dates, such as 02-Sep.*SEPT2"):
        read_network("mine", path)


def test_a_spreadsheet_that_is_damaged_or_of_another_kind(tmp_path):
    path = tmp_path / "x.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<nothing/>")
        archive.writestr("[Content_Types].xml", "<nothing/>")
    with pytest.raises(DataError, match=r"is a spreadsheet that cannot be read: .*tab-separated"):
        read_network("mine", path)
    with zipfile.ZipFile(tmp_path / "x.ods", "w") as archive:
        archive.writestr("content.xml", "<nothing/>")
    with pytest.raises(DataError, match="is an OpenDocument file, not a table; export"):
        read_network("mine", tmp_path / "x.ods")


def test_text_as_spreadsheets_export_it(tmp_path):
    path = tmp_path / "unicode.txt"
    path.write_text("regulator\ttarget\nAATF\tBAX\n", encoding="utf-16")
    assert pairs(formats.read_edges(path)) == {("AATF", "BAX", "")}


def test_an_archive_may_have_what_macos_adds(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("edges.txt", "A\tB\n")
        archive.writestr("__MACOSX/._edges.txt", b"\0\1")
    assert pairs(formats.read_edges(tmp_path / "x.zip")) == {("A", "B", "")}
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "x.zip", "x.zip")
    with pytest.raises(DataError, match="is a tar archive, not a table; export or unpack"):
        formats.recognise(tmp_path / "x.tar.gz")


def test_archive_of_several_files_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", "A\tB\n")
        archive.writestr("b.txt", "A\tB\n")
    with pytest.raises(DataError, match="contains 2 files"):
        formats.recognise(tmp_path / "x.zip")


def test_table_that_breaks_off_is_an_error_of_the_library(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('source,target\n"A,B\n')
    with pytest.raises(DataError, match="cannot be read"):
        formats.read_edges(path)


def test_gene_sets_are_read_with_weights_and_repeated_names(tmp_path):
    path = tmp_path / "x.gmt"
    path.write_text("one\tabout\tA,1.0\tB\none\t\tC\n\ntwo\t\tNA\t \n")
    assert formats.gene_sets(path) == {"one": ["A", "B", "C"], "two": ["NA"]}


def test_trrust_and_corum_as_published(shared):
    path = shared("data/networks/trrust_v2_human.tsv")
    assert formats.recognise(path) == "trrust"
    table = formats.read_trrust(path)
    assert ("AATF", "BAX", "repression") in pairs(table)
    assert len(table.genes) == 2862
    path = shared("data/networks/CORUM_complexes.txt")
    assert formats.recognise(path) == "gmt"
    assert ("HDAC4", "BCL6", "") in pairs(formats.read_gmt(path))
