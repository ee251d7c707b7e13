/*
 * A database becomes two pieces of SQL: a question that answers 1 when all is in order, and orders
 * that bring it about. Both hold the password, so both go by standard input. The question is asked
 * of the tables behind the grants: the user has exactly these hosts, this password and these
 * privileges on this database.
 */
#include "role/resource_database.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct role_key resource_database_keys[] = {
    {"user", KEY_TEXT, NULL},       {"password", KEY_SECRET, NULL}, {"hosts", KEY_TEXT, NULL},
    {"privileges", KEY_TEXT, NULL}, {"charset", KEY_TEXT, NULL},    {NULL, KEY_TEXT, NULL}};

/* What ALL is on a database, and where the server keeps it. */
static const struct {
    const char *name;
    const char *column;
} privileges[] = {
    {"SELECT", "Select_priv"},
    {"INSERT", "Insert_priv"},
    {"UPDATE", "Update_priv"},
    {"DELETE", "Delete_priv"},
    {"CREATE", "Create_priv"},
    {"DROP", "Drop_priv"},
    {"REFERENCES", "References_priv"},
    {"INDEX", "Index_priv"},
    {"ALTER", "Alter_priv"},
    {"CREATE TEMPORARY TABLES", "Create_tmp_table_priv"},
    {"LOCK TABLES", "Lock_tables_priv"},
    {"CREATE VIEW", "Create_view_priv"},
    {"SHOW VIEW", "Show_view_priv"},
    {"CREATE ROUTINE", "Create_routine_priv"},
    {"ALTER ROUTINE", "Alter_routine_priv"},
    {"EXECUTE", "Execute_priv"},
    {"EVENT", "Event_priv"},
    {"TRIGGER", "Trigger_priv"},
};
#define PRIVILEGE_COUNT (sizeof(privileges) / sizeof(privileges[0]))

struct database {
    const char *name;
    const char *charset;
    const char *user; /* "" for none. */
    const char *password;
    char **hosts;
    size_t host_count;
    bool wanted[PRIVILEGE_COUNT];
    bool all;
};

static const char *quoted(struct compiler *c, const char *text)
{
    struct str out = STR_NULL;
    str_add_char(&out, '\'');
    escape_add(&out, ESCAPE_SQL, text);
    str_add_char(&out, '\'');
    return compile_keep(c, &out);
}

/* In a GRANT the name is a pattern: an underscore would match any letter. */
static const char *pattern(struct compiler *c, const char *name)
{
    struct str out = STR_NULL;
    for (; *name != '\0'; name++) {
        if (*name == '_' || *name == '%') {
            str_add_char(&out, '\\');
        }
        str_add_char(&out, *name);
    }
    return compile_keep(c, &out);
}

static void take_privileges(struct compiler *c, struct database *d)
{
    char **words;
    size_t count = role_words(compile_text(c, "privileges", "ALL"), ",\n", &words);
    for (size_t i = 0; i < count; i++) {
        bool found =
            strcasecmp(words[i], "ALL") == 0 || strcasecmp(words[i], "ALL PRIVILEGES") == 0;
        d->all = d->all || found;
        for (size_t p = 0; p < PRIVILEGE_COUNT; p++) {
            if (strcasecmp(words[i], privileges[p].name) == 0) {
                d->wanted[p] = true;
                found = true;
            }
        }
        if (!found) {
            compile_problem(c, "privileges", "'%s' is no privilege on a database", words[i]);
        }
    }
    if (count == 0) {
        compile_problem(c, "privileges", "at least one is needed");
    }
    role_words_free(words, count);
    for (size_t p = 0; p < PRIVILEGE_COUNT; p++) {
        d->wanted[p] = d->wanted[p] || d->all;
    }
}

/* "'a', 'b'" */
static const char *host_list(struct compiler *c, const struct database *d)
{
    struct str out = STR_NULL;
    for (size_t i = 0; i < d->host_count; i++) {
        str_addf(&out, "%s%s", i == 0 ? "" : ", ", quoted(c, d->hosts[i]));
    }
    return compile_keep(c, &out);
}

static void add_user_question(struct compiler *c, const struct database *d, struct str *sql)
{
    const char *user = quoted(c, d->user);
    const char *hosts = host_list(c, d);
    str_addf(sql,
             " AND (SELECT COUNT(*) FROM mysql.global_priv WHERE User = %s) = %zu"
             " AND (SELECT COUNT(*) FROM mysql.global_priv WHERE User = %s AND Host IN (%s)"
             " AND JSON_VALUE(Priv, '$.plugin') = 'mysql_native_password'"
             " AND JSON_VALUE(Priv, '$.authentication_string') = PASSWORD(%s)) = %zu"
             " AND (SELECT COUNT(*) FROM mysql.db WHERE User = %s AND Host IN (%s) AND Db = %s",
             user, d->host_count, user, hosts, quoted(c, d->password), d->host_count, user, hosts,
             quoted(c, pattern(c, d->name)));
    for (size_t p = 0; p < PRIVILEGE_COUNT; p++) {
        str_addf(sql, " AND %s = '%c'", privileges[p].column, d->wanted[p] ? 'Y' : 'N');
    }
    str_addf(sql, ") = %zu", d->host_count);
}

static const char *question(struct compiler *c, const struct database *d)
{
    struct str sql = STR_NULL;
    str_addf(&sql,
             "SELECT (SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s"
             " AND DEFAULT_CHARACTER_SET_NAME = %s) = 1",
             quoted(c, d->name), quoted(c, d->charset));
    if (d->user[0] != '\0') {
        add_user_question(c, d, &sql);
    }
    str_add(&sql, ";\n");
    return compile_keep(c, &sql);
}

/* Other hosts of the user go: a statement cannot take its names from a query without this. */
static void add_dropped_hosts(struct compiler *c, const struct database *d, struct str *sql)
{
    str_addf(sql,
             "SET @gone = (SELECT GROUP_CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM "
             "mysql.global_priv WHERE User = %s AND Host NOT IN (%s));\n"
             "SET @gone = IF(@gone IS NULL, 'DO 0', CONCAT('DROP USER ', @gone));\n"
             "PREPARE gone FROM @gone;\nEXECUTE gone;\nDEALLOCATE PREPARE gone;\n",
             quoted(c, d->user), host_list(c, d));
}

static void add_grant(struct compiler *c, const struct database *d, const char *host,
                      struct str *sql)
{
    const char *user = quoted(c, d->user);
    const char *db = pattern(c, d->name);
    const char *at = quoted(c, host);
    const char *password = quoted(c, d->password);
    str_addf(sql, "CREATE USER IF NOT EXISTS %s@%s IDENTIFIED BY %s;\n", user, at, password);
    str_addf(sql, "ALTER USER %s@%s IDENTIFIED BY %s;\n", user, at, password);
    /* A grant to take back must exist; so everything is given first. */
    str_addf(sql, "GRANT ALL ON `%s`.* TO %s@%s;\n", db, user, at);
    if (d->all) {
        return;
    }
    str_addf(sql, "REVOKE ALL ON `%s`.* FROM %s@%s;\nGRANT ", db, user, at);
    bool first = true;
    for (size_t p = 0; p < PRIVILEGE_COUNT; p++) {
        if (d->wanted[p]) {
            str_addf(sql, "%s%s", first ? "" : ", ", privileges[p].name);
            first = false;
        }
    }
    str_addf(sql, " ON `%s`.* TO %s@%s;\n", db, user, at);
}

static const char *orders(struct compiler *c, const struct database *d)
{
    struct str sql = STR_NULL;
    str_addf(&sql, "CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET %s;\n", d->name, d->charset);
    str_addf(&sql, "ALTER DATABASE `%s` CHARACTER SET %s;\n", d->name, d->charset);
    if (d->user[0] != '\0') {
        add_dropped_hosts(c, d, &sql);
        for (size_t i = 0; i < d->host_count; i++) {
            add_grant(c, d, d->hosts[i], &sql);
        }
    }
    return compile_keep(c, &sql);
}

static void check_names(struct compiler *c, const struct database *d)
{
    compile_check_word(c, NULL, d->name, "_-");
    compile_check_word(c, "charset", d->charset, "_");
    if (d->user[0] == '\0') {
        return;
    }
    compile_check_word(c, "user", d->user, "_.-");
    for (size_t i = 0; i < d->host_count; i++) {
        compile_check_word(c, "hosts", d->hosts[i][0] == '%' ? d->hosts[i] + 1 : d->hosts[i],
                           "_.:/%-");
    }
    if (d->password[0] == '\0') {
        compile_problem(c, "password", "user '%s' needs a password", d->user);
    }
}

void resource_database_emit(struct compiler *c, const struct ini_section *section)
{
    bool secret;
    (void)section;
    struct database d = {.name = compile_label(c),
                         .charset = compile_text(c, "charset", "utf8mb4"),
                         .user = compile_text(c, "user", ""),
                         .password = compile_secret_text(c, "password", ESCAPE_NONE, &secret)};
    d.host_count = role_words(compile_text(c, "hosts", "localhost"), " ,\t\n", &d.hosts);
    if (secret) {
        const char *form = quoted(c, d.password);
        compile_hide(c, form, strlen(form));
    }
    take_privileges(c, &d);
    check_names(c, &d);
    compile_begin(c, d.name, "ll_database");
    compile_arg_secret(c, question(c, &d));
    compile_arg_secret(c, orders(c, &d));
    compile_end(c);
    role_words_free(d.hosts, d.host_count);
}
