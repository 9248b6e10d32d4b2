"""A capture without a GPU: operations are recorded with the very tensors and numbers that they had, and repeated."""

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode


def storages(nest):
    return {t.untyped_storage()._cdata for t in pytree.tree_leaves(nest) if isinstance(t, torch.Tensor)}


class Recorder(TorchDispatchMode):
    """Records operations. As on a GPU, the value of no tensor can be read."""

    def __init__(self):
        super().__init__()
        self.calls = []  # whether gradients are on, which some kernels ask, operation, arguments, and new results
        self.own = set()  # memory that was allocated meanwhile
        self.before = {}  # other memory: a tensor of it, and its content

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("a value is read back")
        for t in pytree.tree_leaves((args, kwargs)):
            if isinstance(t, torch.Tensor) and t.untyped_storage()._cdata not in self.own | self.before.keys():
                content = torch.empty(0, dtype=torch.uint8).set_(t.untyped_storage())
                self.before[t.untyped_storage()._cdata] = content, content.clone()
        result = func(*args, **kwargs)
        given = storages((args, kwargs))
        fresh = [isinstance(t, torch.Tensor) and not storages(t) <= given for t in pytree.tree_leaves(result)]
        self.own |= storages(result) - given
        self.calls.append((torch.is_grad_enabled(), func, args, kwargs, result, fresh))
        return result


def frozen(function, stream=None, pool=None):
    """Stands for `capture.cuda_graph`: the function has no effect, and its program repeats what was recorded."""
    with Recorder() as recorder:
        function()
    with torch.no_grad():
        for content, before in recorder.before.values():
            content.copy_(before)

    def program():
        for graded, func, args, kwargs, result, fresh in recorder.calls:
            with torch.set_grad_enabled(graded), torch._C._AutoDispatchBelowAutograd():
                again = pytree.tree_leaves(func(*args, **kwargs))
                for old, new, copied in zip(pytree.tree_leaves(result), again, fresh, strict=True):
                    if copied:
                        old.copy_(new)

    return program
