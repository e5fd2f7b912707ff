/* empty.c - stands in for a folder of src/ that has no source file yet. */
typedef int pm_empty;
