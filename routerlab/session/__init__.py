"""What turns decisions into calls: the loop thread, the asyncio driver, the records, the store, ``lab.yaml``."""
