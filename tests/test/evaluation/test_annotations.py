"""Guards annotations of every benchmark in its layout on disk, read without a frame."""

import numpy as np
import pytest

from lib.test.evaluation.base_set import read_names, read_rows
from lib.test.evaluation.datasets import open_annotations
from tests.test import made_up_sets as made_up

THREE = [[10, 20, 30, 40], [12, 22, 30, 40], [14, 24, 30, 40]]


def test_tables_hold_the_published_numbers_of_sequences():
    sizes = {name: len(read_rows(f"{name}.csv")) for name in ("otb", "nfs", "uav")}
    assert sizes == {"otb": 100, "nfs": 100, "uav": 123}
    names = read_names("lasot_test.txt"), read_names("lasot_ext.txt")
    assert [len(set(table)) for table in names] == [280, 150]
    # four sequences of each of 70 classes, ten of each of 15
    assert len({name.rsplit("-", 1)[0] for name in names[0]}) == 70
    assert len({name.rsplit("-", 1)[0] for name in names[1]}) == 15


@pytest.mark.parametrize(
    ("dataset", "separator", "name", "group"),
    [
        ("otb", ",", "otb_Basketball", "class: person"),
        ("otb", " ", "otb_Biker", "class: person head"),
        ("nfs", "\t", "nfs_Gymnastics", "class: person"),
        ("uav", ",", "uav_bike1", "class: vehicle"),
    ],
)
def test_table_sets(tmp_path, dataset, separator, name, group):
    annotations = open_annotations(dataset, made_up.table_set(dataset, tmp_path, separator))
    truth = annotations.truth(name)
    assert truth.name in annotations.names and truth.dataset == dataset
    assert truth.boxes_xywh.tolist() == THREE and truth.visible is None
    assert truth.groups == (group,)


def test_omitted_first_frames_are_not_annotation(tmp_path):
    annotations = open_annotations("otb", made_up.table_set("otb", tmp_path, ","))
    assert annotations.truth("otb_Tiger1").boxes_xywh.tolist() == THREE  # five lines before


def test_uav_attributes_and_nan(tmp_path):
    root = made_up.table_set("uav", tmp_path, ",")
    anno = root / "anno" / "UAV123"
    made_up.write(anno / "bike1.txt", "1,2,3,4\nNaN,NaN,NaN,NaN\n")
    made_up.write(anno / "att" / "bike1.txt", "1,0,0,0,0,0,0,0,0,0,0,1\n")
    truth = open_annotations("uav", root).truth("uav_bike1")
    assert np.isnan(truth.boxes_xywh[1]).all()
    assert truth.groups == ("class: vehicle", "Scale Variation", "Similar Object")
    made_up.write(anno / "att" / "bike1.txt", "1,0\n")
    with pytest.raises(ValueError, match=r"bike1\.txt: 2 attributes, expected 12"):
        open_annotations("uav", root).truth("uav_bike1")


def test_lasot_in_its_own_layout(tmp_path):
    annotations = open_annotations("lasot", made_up.lasot_own(tmp_path, ["airplane-1"]))
    assert len(annotations.names) == 280
    truth = annotations.truth("airplane-1")
    assert truth.boxes_xywh.tolist() == THREE
    assert truth.visible.tolist() == [True, False, False]
    assert truth.groups == ("class: airplane",)
    with pytest.raises(FileNotFoundError, match="airplane-9"):
        annotations.truth("airplane-9")
    made_up.write(tmp_path / "airplane" / "airplane-1" / "out_of_view.txt", "0,0\n")
    with pytest.raises(ValueError, match=r"3 boxes, 3 flags in full_occlusion.txt, 2 in out_of"):
        annotations.truth("airplane-1")


@pytest.mark.parametrize("inside", [False, True], ids=["DIR/absent", "DIR/annos/absent"])
def test_lasot_in_the_toolkits_layout(tmp_path, inside):
    root = made_up.lasot_toolkit(tmp_path, ["airplane-1"])
    made_up.write(root / "att" / "airplane-1.txt", "1,0,0,0,0,0,0,0,0,0,0,0,0,1")
    if inside:
        (root / "absent").rename(root / "annos" / "absent")
    truth = open_annotations("lasot", root).truth("airplane-1")
    assert truth.boxes_xywh.tolist() == THREE
    assert truth.visible.tolist() == [True, True, False]
    assert truth.groups == ("class: airplane", "Illumination Variation", "Aspect Ratio Change")


def test_lasot_extension(tmp_path):
    annotations = open_annotations("lasot_ext", made_up.lasot_own(tmp_path, ["atv-1"]))
    assert len(annotations.names) == 150 and annotations.truth("atv-1").dataset == "lasot_ext"


@pytest.mark.parametrize("dataset", ["got10k_val", "demo"])
def test_got10k_validation_and_demo(tmp_path, dataset):
    name = "GOT-10k_Val_000001"
    annotations = open_annotations(dataset, made_up.got10k_val(tmp_path, [name]))
    truth = annotations.truth(name)
    assert truth.boxes_xywh.tolist() == THREE and truth.image_size == (100, 100)
    assert truth.visible.tolist() == [True, True, False] and truth.groups == ("class: vehicle",)
    made_up.write(tmp_path / "val" / truth.name / "meta_info.ini", "[METAINFO]\nurl: x\n")
    with pytest.raises(ValueError, match=r"meta_info.ini: no 'resolution: \(width, height\)'"):
        annotations.truth(name)


@pytest.mark.parametrize(
    ("dataset", "file", "message"),
    [
        ("trackingnet", "TEST/anno/abc_0.txt", "TrackingNet is scored by its server"),
        ("own", "clip/groundtruth.txt", "nothing to score against"),
    ],
)
def test_sets_whose_first_box_alone_may_be_known(tmp_path, dataset, file, message):
    with pytest.raises(FileNotFoundError, match="no "):
        open_annotations(dataset, tmp_path)
    path = made_up.write(tmp_path / file, made_up.BOXES)
    annotations = open_annotations(dataset, tmp_path)
    (name,) = annotations.names
    assert annotations.truth(name).boxes_xywh.tolist() == THREE
    made_up.write(path, "1,2,3,4\n")
    with pytest.raises(ValueError, match=message):
        annotations.truth(name)


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match="no annotation of 'got10k_test' to score with; of otb"):
        open_annotations("got10k_test", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no such folder: .*absent \(annotation of otb\)"):
        open_annotations("otb", tmp_path / "absent")
