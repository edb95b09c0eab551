#include "text/decimal.h"

#include <math.h>
#include <stdio.h>

const char *ms_decimal_format(char ret_text[MS_DECIMAL_TEXT_BYTES], double value, int decimals) {
    static const int scales[] = {1, 10, 100, 1000};
    long long all = llround(value * scales[decimals]), whole = all / scales[decimals];
    if (decimals)
        snprintf(ret_text, MS_DECIMAL_TEXT_BYTES, "%lld.%0*d", whole, decimals,
                 (int)(all % scales[decimals]));
    else
        snprintf(ret_text, MS_DECIMAL_TEXT_BYTES, "%lld", whole);
    return ret_text;
}
