/* A program that knows the installed Pumice alone; C11 and C++17. */
#include <pumice.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    pm_engine *engine = NULL;
    pm_engine_params params;
    memset(&params, 0, sizeof(params));
    params.model_path = "no-such-file.gguf";
    pm_result r = pm_engine_create(&params, &engine);
    printf("%s %s: %s\n", pm_version(), pm_result_name(r), pm_error_message());
    return r == PM_ERR_IO && engine == NULL && strstr(pm_error_message(), "no-such-file.gguf") ? 0 : 1;
}
