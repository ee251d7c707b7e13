<?php
declare(strict_types=1);

/** What the host was told by the app role; outside of everything Apache serves. */
function config(): array
{
    static $config = null;
    return $config ??= require getenv('APP_CONFIG') ?: '/etc/shop/config.php';
}

/** Which host answers, for the page and for the demo's checks. */
function host_name(): string
{
    return config()['instance'] ?? (gethostname() ?: 'unknown');
}
