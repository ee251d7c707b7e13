<?php
declare(strict_types=1);

function e(string|int $text): string
{
    return htmlspecialchars((string) $text, ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5, 'UTF-8');
}

/** @var array{host:string, zone:string, image:string, rows:?int, entries:array, notice:?string, name:string, text:string} $page */
function show(array $page): void
{
    ?>
<!doctype html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>The Lamp Shop</title>
    <link rel="stylesheet" href="/style.css">
    <link rel="icon" href="/lamp.svg" type="image/svg+xml">
</head>
<body>
<header>
    <img src="/lamp.svg" alt="" width="56" height="56">
    <div>
        <h1>The Lamp Shop</h1>
        <p>Lit by Linux, Apache, MariaDB and PHP.</p>
    </div>
    <p class="host" title="The host that made this page">
        <span>answered by</span>
        <strong><?= e($page['host']) ?></strong>
        <?php if ($page['zone'] !== '') { ?><span>in <?= e($page['zone']) ?></span><?php } ?>
        <?php if ($page['image'] !== '') { ?><span>from image <?= e($page['image']) ?></span><?php } ?>
    </p>
</header>
<main>
    <form method="post" action="/">
        <h2>Leave a line in the guest book</h2>
        <?php if ($page['notice'] !== null) { ?>
        <p class="notice" role="alert"><?= e($page['notice']) ?></p>
        <?php } ?>
        <label>Name
            <input name="name" maxlength="60" required autocomplete="name" value="<?= e($page['name']) ?>">
        </label>
        <label>Line
            <textarea name="text" maxlength="500" rows="3" required><?= e($page['text']) ?></textarea>
        </label>
        <button>Write it down</button>
    </form>
    <section>
        <h2>Guest book
            <?php if ($page['rows'] !== null) { ?><small><?= e($page['rows']) ?> <?= $page['rows'] === 1 ? 'entry' : 'entries' ?></small><?php } ?>
        </h2>
        <?php if ($page['rows'] === 0) { ?>
        <p class="empty">Nothing yet. Be the first.</p>
        <?php } ?>
        <ol>
        <?php foreach ($page['entries'] as $entry) { ?>
            <li>
                <p><?= e($entry['text']) ?></p>
                <footer>
                    <b><?= e($entry['name']) ?></b>
                    <time datetime="<?= e($entry['written']) ?>"><?= e($entry['written']) ?></time>
                    <span>written by <?= e($entry['host']) ?></span>
                </footer>
            </li>
        <?php } ?>
        </ol>
    </section>
</main>
<footer class="page">Reload, and the balancer may send you to another host. The guest book stays the same.</footer>
</body>
</html>
    <?php
}
