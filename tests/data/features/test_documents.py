"""Volumes, meshes, sequences, structures and PDFs, each where its package is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from enfold.data.features import BioSequence, BioStructure, FeatureError, Features, Mesh, Nifti, Pdf

PDF = (b"%PDF-1.1\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
       b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
       b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\n"
       b"xref\n0 4\n0000000000 65535 f \n0000000009 00000 n \n0000000052 00000 n \n"
       b"0000000101 00000 n \ntrailer<</Size 4/Root 1 0 R>>\nstartxref\n165\n%%EOF")
ATOM = "ATOM      1  N   ALA A   1      11.104   6.134  -6.504  1.00  0.00           N\nEND\n"


def test_volumes(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    volume = nibabel.Nifti1Image(np.arange(24.0).reshape(2, 3, 4), np.eye(4))
    path = str(tmp_path / "a.nii.gz")
    assert Nifti().decode_example(Nifti().encode_example(volume)).get_fdata().sum() == 276
    nibabel.save(volume, path)
    for value in (path, Path(path).read_bytes(), {"path": f"gzip://a.nii::{path}"}):
        assert Nifti().decode_example(Nifti().encode_example(value)).shape == (2, 3, 4)
    assert Nifti().encode_example(nibabel.load(path)) == {"path": path, "bytes": None}


def test_meshes(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    encoded = Features({"m": Mesh()}).encode_example({"m": trimesh.creation.box()})["m"]
    assert encoded["path"] == "mesh.glb"
    assert isinstance(Mesh().decode_example(encoded), trimesh.Scene)
    path = tmp_path / "b.GLB"
    path.write_bytes(encoded["bytes"])
    assert isinstance(Mesh().decode_example(str(path)), trimesh.Scene)


def test_sequences() -> None:
    record = pytest.importorskip("Bio.SeqRecord").SeqRecord(
        pytest.importorskip("Bio.Seq").Seq("ACGT"), id="s")
    encoded = Features({"s": BioSequence()}).encode_example({"s": record})["s"]
    assert str(BioSequence().decode_example(encoded).seq) == "ACGT"
    with pytest.raises(FeatureError, match="BioSequence: the bytes: no fasta record in it"):
        BioSequence().decode_example({"path": None, "bytes": b""})


def test_structures() -> None:
    pytest.importorskip("Bio.PDB")
    structure = BioStructure().decode_example({"path": "x.pdb", "bytes": ATOM.encode()})
    assert structure.id == "x" and len(list(structure.get_atoms())) == 1
    encoded = BioStructure(format="mmcif").encode_example(structure)
    again = BioStructure(format="mmcif").decode_example(encoded)
    assert again.id == "structure" and len(list(again.get_atoms())) == 1


def test_pdfs(tmp_path: Path) -> None:
    pytest.importorskip("pdfplumber")
    path = tmp_path / "a.pdf"
    path.write_bytes(PDF)
    for value in (PDF, path):
        document = Pdf().decode_example(Pdf().encode_example(value))
        assert len(document.pages) == 1
        encoded = Features({"p": Pdf()}).encode_example({"p": document})["p"]
        assert encoded == ({"path": str(path), "bytes": None} if value is path
                           else {"path": None, "bytes": PDF})
