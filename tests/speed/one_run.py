"""One run as people write it: a process of its own, DataLoader, Accelerate, a scheduler. Prints its seconds.

`python -m tests.speed.one_run TASK UPDATES`; the seconds of a whole process are its parent's to measure.
"""

import sys
import time

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

import tasks
from bench.engine.loader import Loader
from bench.engine.modules import initial_model
from bench.strategies import optimizers


def main(text, updates):
    torch.set_num_threads(1)
    task, total = tasks.parse(text), int(updates)
    accelerator = Accelerator(cpu=True)
    model = initial_model(Loader(task, 0))
    optimizer = optimizers.parse(task.optimizer).build(model, task.weight_decay)
    train = task.load().train
    count = len(train.inputs)
    arrays = TensorDataset(*map(torch.tensor, (*train.inputs, *train.target)))
    loader = DataLoader(arrays, task.batch_size, shuffle=True, drop_last=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / total)
    model, optimizer, loader, scheduler = accelerator.prepare(model, optimizer, loader, scheduler)
    done, start = 0, time.process_time()
    while done < total:
        for batch in loader:
            inputs, target = batch[:count], batch[count:]
            if task.prepare is not None:
                inputs, target = task.prepare(tuple(inputs), tuple(target), torch.Generator().manual_seed(done))
            with accelerator.accumulate(model):
                loss = task.loss(model(*(x.float() if x.is_floating_point() else x for x in inputs)), target)
                accelerator.backward(loss)
                if task.clip is not None:
                    accelerator.clip_grad_norm_(model.parameters(), task.clip)
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
            done += 1
            if done == total:
                break
    print(time.process_time() - start)


if __name__ == "__main__":
    main(*sys.argv[1:])
