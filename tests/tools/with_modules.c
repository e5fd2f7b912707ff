/* with_modules.c - linked into pumice, this makes pumice-with-modules: the program, with the modules of
 * PUMICE_TEST_MODULES in place of its own. */
#include "modules.h"

__attribute__((constructor)) static void serve(void)
{
    (void)test_modules_serve();
}
