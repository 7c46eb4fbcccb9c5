"""Run folders from a stranger: whatever they hold, no command comes to harm."""
