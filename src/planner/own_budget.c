#include "planner/own_budget.h"

#include "base/error.h"
#include "planner/run_plan.h"
#include "text/size.h"

ms_status ms_own_budget_open(size_t budget_bytes, ms_own_budget *b, ms_error *err) {
    const ms_profile_source source = {.environment = true};
    const ms_run_policy_params params = {.source = &source, .budget_bytes = budget_bytes};
    ms_run_policy policy;
    char has[MS_SIZE_TEXT_BYTES], budget[MS_SIZE_TEXT_BYTES];
    *b = (ms_own_budget){0};
    ms_run_share_enter(&b->share);
    MS_TRY(ms_run_policy_load(&params, &policy, err));
    MS_TRY(ms_run_share_join(&b->share, policy.budget_bytes, err));
    b->budget_bytes = policy.budget_bytes;
    if (ms_mem_create(b->budget_bytes, &b->mem) != MS_OK)
        return ms_fail(err, MS_HOST_MEMORY, "cannot allocate the budget's ledgers");
    size_t base = b->share.base_bytes + MS_RUN_PROCESS_BYTES;
    if (!ms_mem_charge(b->mem, MS_LEDGER_GENERAL, base)) {
        ms_fail(err, MS_BUDGET, "a budget of %s is too small: the program itself has %s",
                ms_size_format(budget, b->budget_bytes), ms_size_format(has, base));
        ms_run_share_explain(&b->share, err);
        return MS_BUDGET;
    }
    b->base_bytes = base;
    return MS_OK;
}

void ms_own_budget_close(ms_own_budget *b) {
    if (b->mem) {
        ms_mem_release(b->mem, MS_LEDGER_GENERAL, b->base_bytes);
        ms_mem_destroy(&b->mem);
    }
    ms_run_share_leave(&b->share);
}

ms_picture_room ms_own_budget_room(const ms_own_budget *b) {
    return ms_picture_room_in(b->budget_bytes, b->base_bytes);
}
