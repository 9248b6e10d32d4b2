"""The data sets that tasks read from a folder or the hub, on one screen; `tasks/pack.py` says what a record means."""

from __future__ import annotations

from tasks.pack import Pack

_BY_TABLE = "rows, labels and kind of image"


def _hf(repository: str, folder: str) -> str:
    return f"hf download {repository} --repo-type dataset --local-dir DIR/{folder}"


PACKS = {
    pack.name: pack
    for pack in (
        Pack(
            name="mnist",
            title="MNIST",
            layouts=("torchvision's MNIST/raw/*-ubyte(.gz)", "the hub's parquet files"),
            get=_hf("ylecun/mnist", "mnist"),
            hub="ylecun/mnist",
            size="60,000 + 10,000 images of 28x28, 12 MB",
            licence="CC BY-SA 3.0 (LeCun, Cortes and Burges)",
            check="MD5 of the four idx files, unpacked or built from the tables",
            rows={"train": 60_000, "test": 10_000},
            sums={
                "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
                "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
                "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
                "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
            },
        ),
        Pack(
            name="fashion_mnist",
            title="Fashion-MNIST",
            layouts=("torchvision's FashionMNIST/raw/*-ubyte(.gz)", "the hub's parquet files"),
            get=_hf("zalando-datasets/fashion_mnist", "fashion_mnist"),
            hub="zalando-datasets/fashion_mnist",
            size="60,000 + 10,000 images of 28x28, 31 MB",
            licence="MIT (Zalando)",
            check=f"torchvision's MD5 of the four .gz files; else {_BY_TABLE}",
            rows={"train": 60_000, "test": 10_000},
            sums={
                "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
                "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
                "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
            },
        ),
        Pack(
            name="cifar10",
            title="CIFAR-10",
            layouts=("torchvision's cifar-10-batches-py/", "the hub's parquet files"),
            get=_hf("uoft-cs/cifar10", "cifar10"),
            hub="uoft-cs/cifar10",
            size="50,000 + 10,000 images of 32x32, 170 MB",
            licence="none stated (Krizhevsky 2009, to be cited)",
            check=f"torchvision's MD5 of the batches; of tables {_BY_TABLE}",
            rows={"train": 50_000, "test": 10_000},
        ),
        Pack(
            name="cifar10_jpeg_q75",
            title="CIFAR-10 (JPEG q75)",
            layouts=("train.parquet and test.parquet",),
            get="CIFAR-10 saved as JPEG of quality 75, rows in the official order, with these SHA-256",
            size="50,000 + 10,000 images of 32x32, 18 MB",
            licence="none stated (Krizhevsky 2009, to be cited)",
            check="SHA-256 of both files",
            rows={"train": 50_000, "test": 10_000},
            sums={
                "train.parquet": "a1a944c999fad932e56db2ef61a1b00a75abe21bd962203482fb73ee47058a2b",
                "test.parquet": "e457be710bad29d0b058be1a3d6fd29b493f9dfeb3043cf554378c355c62a57f",
            },
        ),
        Pack(
            name="cifar100",
            title="CIFAR-100",
            layouts=("torchvision's cifar-100-python/", "the hub's parquet files"),
            get=_hf("uoft-cs/cifar100", "cifar100"),
            hub="uoft-cs/cifar100",
            size="50,000 + 10,000 images of 32x32, 169 MB",
            licence="none stated (Krizhevsky 2009, to be cited)",
            check=f"torchvision's MD5 of the batches; of tables {_BY_TABLE}",
            rows={"train": 50_000, "test": 10_000},
        ),
        Pack(
            name="glue",
            title="GLUE",
            layouts=("the hub's parquet files, TASK/PART.parquet or TASK/PART-00000-of-N.parquet",),
            get=_hf("nyu-mll/glue", "glue"),
            hub="nyu-mll/glue",
            size="nine tasks of 706 to 412,349 labelled examples",
            licence="of each task its own, for research",
            check="rows, columns and labels of each part",
            rows={
                "cola/train": 8_551,
                "cola/validation": 1_043,
                "sst2/train": 67_349,
                "sst2/validation": 872,
                "mrpc/train": 3_668,
                "mrpc/validation": 408,
                "mrpc/test": 1_725,
                "stsb/train": 5_749,
                "stsb/validation": 1_500,
                "qqp/train": 363_846,
                "qqp/validation": 40_430,
                "mnli/train": 392_702,
                "mnli/validation_matched": 9_815,
                "mnli/validation_mismatched": 9_832,
                "qnli/train": 104_743,
                "qnli/validation": 5_463,
                "rte/train": 2_490,
                "rte/validation": 277,
                "wnli/train": 635,
                "wnli/validation": 71,
            },
        ),
        Pack(
            name="imagenet",
            title="ImageNet (ILSVRC 2012)",
            layouts=("train/CLASS/*.JPEG and val/CLASS/*.JPEG", "the hub's parquet files"),
            get=_hf("ILSVRC/imagenet-1k", "imagenet") + ", once its terms are accepted there",
            hub="ILSVRC/imagenet-1k",
            size="1,281,167 + 50,000 images, 150 GB",
            licence="for non-commercial research (image-net.org's terms)",
            check="names and sizes of all files; labels",
        ),
        Pack(
            name="coco",
            title="COCO 2017",
            layouts=("annotations/instances_{train,val}2017.json, train2017/ and val2017/",),
            get="from cocodataset.org/#download",
            size="118,287 + 5,000 images, 19 GB",
            licence="annotations CC BY 4.0, images under their owners' terms on Flickr",
            check="names and sizes of all images; boxes, categories and sizes of images against each other",
            rows={"train": 118_287, "val": 5_000},
        ),
        Pack(
            name="bccd",
            title="BCCD",
            layouts=("instances_{train,val,test}.json and images/, in COCO's format",),
            get="Shenggan/BCCD_Dataset on GitHub, its VOC boxes written in COCO's format",
            size="205 + 87 + 72 images of 640x480, 7 MB",
            licence="MIT (Shenggan)",
            check="boxes, categories and sizes of images against each other; SHA256SUMS of DIR where given",
            rows={"train": 205, "val": 87, "test": 72},
        ),
    )
}
