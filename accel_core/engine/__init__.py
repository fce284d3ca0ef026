"""The trainers: compiled batches on the processor, batches on a GPU, and the readable one."""
