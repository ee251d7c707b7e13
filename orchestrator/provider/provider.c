#include "provider/provider.h"

#include <stdlib.h>

void provider_view_deinit(struct provider_view *view)
{
    free(view->id);
    free(view->cluster);
    free(view->group);
    free(view->zone);
    free(view->address);
    free(view->host_key);
    free(view->image);
    free(view->build);
    free(view->content);
    free(view->machine_id);
    *view = (struct provider_view){.id = NULL};
}

void provider_views_free(struct provider_view *views, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        provider_view_deinit(&views[i]);
    }
    free(views);
}
