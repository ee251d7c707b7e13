/* Server lines of a rendered configuration, as text. Private to this room; haproxy_render.h has
   what others use. */
#ifndef FRONTEND_HAPROXY_TEXT_H
#define FRONTEND_HAPROXY_TEXT_H

#include "frontend/haproxy_render.h"

/* TEXT without its server lines. */
void haproxy_text_skeleton(const char *text, struct str *ret_skeleton);
/* Adds a line for each of LIST. */
void haproxy_add_servers(struct str *s, const struct haproxy_server_list *list);

#endif
