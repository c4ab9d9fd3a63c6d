#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEASURES = 4, NUMBER_BYTES = 32, ROOM_OF_A_CASE = 128 };

struct kind {
    const char *name;
    double mean[MEASURES];
};

/* Nearest centroid: the means of Fisher's irises (1936, public domain), fifty of each kind. */
static const struct kind kinds[] = {
    {"setosa", {5.006, 3.428, 1.462, 0.246}},
    {"versicolor", {5.936, 2.770, 4.260, 1.326}},
    {"virginica", {6.588, 2.974, 5.552, 2.026}},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* The golden set. An agent has it run before this version takes over from the one before. */
static const struct {
    const char *input, *flower;
} golden[] = {
    {"[5.1, 3.5, 1.4, 0.2]", "setosa"},
    {"[5.7, 2.8, 4.1, 1.3]", "versicolor"},
    {"[6.5, 3.0, 5.8, 2.2]", "virginica"},
};
enum { CASES = sizeof golden / sizeof golden[0] };
_Static_assert(CASES * ROOM_OF_A_CASE < ANSWER_BYTES - 64, "the cases must fit into an answer");

/* What is left to read. */
struct text {
    const char *at, *end;
};

static void skip_blanks(struct text *text) {
    while (text->at < text->end && *text->at != '\0' && strchr(" \t\r\n", *text->at) != NULL) {
        text->at++;
    }
}

static bool take(struct text *text, char wanted) {
    bool found = text->at < text->end && *text->at == wanted;
    text->at += found;
    return found;
}

static bool take_digits(struct text *text) {
    const char *begin = text->at;
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9') {
        text->at++;
    }
    return text->at > begin;
}

/* A number as RFC 8259, section 6, has it; strtod() alone takes more: "0x1", "nan", "+1". */
static bool take_number(struct text *text, double *value) {
    const char *begin = text->at;
    take(text, '-');
    if (!take(text, '0') && !take_digits(text)) {
        return false;
    }
    if (take(text, '.') && !take_digits(text)) {
        return false;
    }
    if (take(text, 'e') || take(text, 'E')) {
        if (!take(text, '-')) {
            take(text, '+');
        }
        if (!take_digits(text)) {
            return false;
        }
    }
    char spelled[NUMBER_BYTES];
    size_t length = (size_t)(text->at - begin);
    if (length >= sizeof spelled) {
        return false;
    }
    memcpy(spelled, begin, length);
    spelled[length] = '\0';
    *value = strtod(spelled, NULL);
    return *value > -1e6 && *value < 1e6; /* No flower is larger; nothing overflows below. */
}

static bool read_measures(const char *data, size_t length, double measures[MEASURES]) {
    struct text text = {data, data + length};
    skip_blanks(&text);
    for (int n = 0; n < MEASURES; n++) {
        if (!take(&text, n == 0 ? '[' : ',')) {
            return false;
        }
        skip_blanks(&text);
        if (!take_number(&text, &measures[n])) {
            return false;
        }
        skip_blanks(&text);
    }
    if (!take(&text, ']')) {
        return false;
    }
    skip_blanks(&text);
    return text.at == text.end;
}

static double squared_distance(const struct kind *kind, const double measures[MEASURES]) {
    double sum = 0;
    for (int n = 0; n < MEASURES; n++) {
        double off = kind->mean[n] - measures[n];
        sum += off * off;
    }
    return sum;
}

static const struct kind *nearest(const double measures[MEASURES]) {
    const struct kind *found = &kinds[0];
    for (int n = 1; n < KINDS; n++) {
        if (squared_distance(&kinds[n], measures) < squared_distance(found, measures)) {
            found = &kinds[n];
        }
    }
    return found;
}

bool score(const char *data, size_t length, char answer[ANSWER_BYTES]) {
    double measures[MEASURES];
    if (!read_measures(data, length, measures)) {
        snprintf(answer, ANSWER_BYTES, "send a JSON list of four numbers below a million");
        return false;
    }
    const struct kind *kind = nearest(measures);
    snprintf(answer, ANSWER_BYTES, "{\"flower\": \"%s\", \"squared_distance\": %.9g}", kind->name,
             squared_distance(kind, measures));
    return true;
}

void prove(char answer[ANSWER_BYTES]) {
    char cases[CASES * ROOM_OF_A_CASE + 1] = "";
    size_t used = 0;
    bool all = true;
    for (int n = 0; n < CASES; n++) {
        double measures[MEASURES];
        const char *input = golden[n].input, *found = "nothing";
        if (read_measures(input, strlen(input), measures)) {
            found = nearest(measures)->name;
        }
        bool passed = strcmp(found, golden[n].flower) == 0;
        all = all && passed;
        snprintf(cases + used, ROOM_OF_A_CASE,
                 "%s{\"input\": \"%s\", \"passed\": %s, \"text\": \"%s\"}", n == 0 ? "" : ", ", input,
                 passed ? "true" : "false", passed ? "" : found);
        used = strlen(cases);
    }
    snprintf(answer, ANSWER_BYTES, "{\"passed\": %s, \"cases\": [%s]}", all ? "true" : "false", cases);
}
