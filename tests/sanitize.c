/* Linked into tests that are built with the address sanitizer: Vulkan drivers keep a few
 * bytes at exit, which are not ours. They stay loaded (dlclose() does nothing), so that
 * the leak report can name them, and are forgiven by name. */
int dlclose(void *library);
const char *__lsan_default_suppressions(void);

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
