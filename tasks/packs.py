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
            name="fsdd",
            title="Free Spoken Digit Dataset",
            layouts=("the repository's recordings/*.wav", "train.parquet and test.parquet"),
            get="git clone https://github.com/Jakobovski/free-spoken-digit-dataset DIR/fsdd",
            size="2,700 + 300 clips, 22 min at 8 kHz, 12 MB",
            licence="CC BY-SA 4.0 (Jackson)",
            check="SHA-256 of all samples; takes, speakers and labels",
            rows={"train": 2_700, "test": 300},
            sums={"samples": "4e0317650d9c876eeda8788b4d4132af747e323d495a3da12c9bce9bc456a45f"},
        ),
        Pack(
            name="speech_commands",
            title="Speech Commands 0.02",
            layouts=("the hub's parquet files, v0.02/PART/*.parquet",),
            get=_hf("google/speech_commands", "speech_commands") + " --revision refs/convert/parquet",
            hub="google/speech_commands",
            revision="refs/convert/parquet",
            size="84,848 + 9,982 + 4,890 clips at 16 kHz, 2 GB",
            licence="CC BY 4.0 (Google, Warden)",
            check="rows, labels and kind of sound",
            rows={"train": 84_848, "validation": 9_982, "test": 4_890},
        ),
        Pack(
            name="speech_commands_v002_testset12",
            title="Speech Commands 0.02, its test set of 12 classes split by speaker",
            layouts=("train.parquet, validation.parquet and test.parquet",),
            get="the official test set, split by sha1(speaker) % 100 at 60 and 80, with these SHA-256",
            size="2,942 + 1,022 + 926 clips of 1 s at 16 kHz, 68 MB",
            licence="CC BY 4.0 (Google, Warden)",
            check="SHA-256 of the three files",
            rows={"train": 2_942, "validation": 1_022, "test": 926},
            sums={
                "train.parquet": "316085244171bd5b8d23be21c5e9918e2c970d74b7ce9e7badb4d053f0546eb3",
                "validation.parquet": "9b5fb02bd3689dbe8229e8bba6742a70b1174d339563e957bac3c81c27fdec51",
                "test.parquet": "d036863c055bf9dbcf35cbd02b848d5e6ddda573fc84091db17cce523dc8d5c1",
            },
        ),
    )
}
