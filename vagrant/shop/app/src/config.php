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

/** The golden image this host was made from, as the image says itself: "web@2"; '' for a host without one. */
function image_name(): string
{
    $file = '/usr/lib/lamplighter/image';
    return is_readable($file) ? strtok((string) file_get_contents($file), " \n") ?: '' : '';
}
