/* The model: what a flower's measures say of its kind. */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>

enum { ANSWER_BYTES = 1024 };

/* Score LENGTH bytes of JSON, four numbers in centimetres: "[5.1, 3.5, 1.4, 0.2]".
 * Writes {"flower": …, "squared_distance": …} to ANSWER and returns true; else writes what is wrong, as text. */
bool score(const char *data, size_t length, char answer[ANSWER_BYTES]);

/* Run the golden set and write {"passed": …, "cases": […]} to ANSWER. */
void prove(char answer[ANSWER_BYTES]);

#endif
