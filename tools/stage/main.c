/* `memsafe-stage`: one stage of the pipeline on given tensors. For tests and
   training; it is not installed. */
#include "console/program.h"
#include "stages.h"

static const cli_command *const children[] = {
#define X(name) &stage_##name##_command,
    STAGE_MAP(X)
#undef X
        NULL};

static const cli_command stage_program = {
    .name = "memsafe-stage",
    .summary = "Run one stage of the pipeline on given tensors",
    .examples = {{"memsafe-stage noise --seed 7 -o noise.safetensors", "the noise that a run begins with"}},
    .usage = "NAME --in CASE.safetensors --out OUT.safetensors [OPTIONS]",
    .text = "A stage reads tensors named in.* and writes tensors named out.*, so that a model can be checked "
            "and a\n"
            "difference be traced to where it begins. Stages:",
    .children = children,
};

int main(int argc, char **argv) {
    return cli_program_of(&stage_program, argc, argv);
}
