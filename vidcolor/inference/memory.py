"""When memory runs out: how that shows, on CUDA and on a CPU."""

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that there was too little memory, whoever raised it.

    torch has a class for CUDA only; its CPU allocator raises a RuntimeError (c10/core/
    impl/alloc_cpu.cpp), and so do cuDNN and cuBLAS where they find no workspace.
    """
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and any(
        words in said
        for words in (
            "can't allocate memory",
            "CUDA out of memory",
            "CUBLAS_STATUS_ALLOC_FAILED",
            "CUDNN_STATUS_ALLOC_FAILED",
        )
    )
