#include "base/words.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

/* Adds what is quoted at *AT, which is moved behind it; false when the quote stays open. */
static bool take_quoted(const char **at, struct str *word)
{
    const char quote = *(*at)++;
    while (**at != '\0' && **at != quote) {
        if (quote == '"' && **at == '\\' && ((*at)[1] == '"' || (*at)[1] == '\\')) {
            (*at)++;
        }
        str_add_char(word, *(*at)++);
    }
    if (**at == '\0') {
        return false;
    }
    (*at)++;
    return true;
}

/* The word at *AT; false when a quote, or a backslash, has no end. */
static bool take_word(const char **at, struct str *word)
{
    str_add(word, ""); /* '' is a word too. */
    while (**at != '\0' && !is_blank(**at)) {
        if (**at == '\'' || **at == '"') {
            if (!take_quoted(at, word)) {
                return false;
            }
        } else if (**at == '\\') {
            if (*++*at == '\0') {
                return false;
            }
            str_add_char(word, *(*at)++);
        } else {
            str_add_char(word, *(*at)++);
        }
    }
    return true;
}

int words_split(const char *line, char ***ret_words, size_t *ret_count, struct err *e)
{
    char **words = NULL;
    size_t count = 0;
    bool whole = true;
    while (*(line += strspn(line, " \t\n")) != '\0' && whole) {
        struct str word = STR_NULL;
        whole = take_word(&line, &word);
        words = xrealloc(words, count + 2, sizeof(*words));
        words[count++] = word.text == NULL ? xstrdup("") : str_take(&word);
        words[count] = NULL;
    }
    if (!whole || count == 0) {
        words_free(words);
        return whole ? err_set(e, "an empty command")
                     : err_set(e, "the command ends inside a quote");
    }
    *ret_words = words;
    *ret_count = count;
    return 0;
}

void words_free(char **words)
{
    for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
        free(words[i]);
    }
    free(words);
}
