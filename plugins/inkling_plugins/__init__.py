"""The plugins that ship with Inkling, registered through the same entry points as anyone's."""
