/* Linked into tests that are built with the address or the thread sanitizer: Vulkan drivers
 * keep a few bytes at exit, and threads of their own that no sanitizer has seen compiled.
 * Neither is ours. They stay loaded (dlclose() does nothing), so that reports can name them,
 * and are forgiven by name. */
int dlclose(void *library);
const char *__lsan_default_suppressions(void);
const char *__tsan_default_suppressions(void);

int dlclose(void *library)
{
    (void)library;
    return 0;
}

const char *__lsan_default_suppressions(void)
{
    return "leak:libvulkan_lvp.so\nleak:libvk_swiftshader.so\nleak:libLLVM\nleak:libvulkan.so\n"
           "leak:libVkLayer_khronos_validation.so\n";
}

const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libvulkan_lvp.so\ncalled_from_lib:libvk_swiftshader.so\ncalled_from_lib:libLLVM\n"
           "mutex:libgcc_s.so\n";
}
