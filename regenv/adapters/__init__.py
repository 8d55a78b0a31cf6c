"""The environments with the interfaces of other libraries; each file needs the extra of its library."""
