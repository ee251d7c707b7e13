<?php
declare(strict_types=1);

// The shop's only page: reads the guest book, writes to it, says which host did so.
//   GET  /              the page
//   GET  /?format=json  {"host", "zone", "image", "rows", "newest"} for scripts
//   POST /              name, text: an entry; then back to the page (with format=json: 201)

require __DIR__ . '/../src/config.php';
require __DIR__ . '/../src/book.php';
require __DIR__ . '/../src/page.php';

const SHOWN = 20;

function field(array $from, string $name): string
{
    return is_string($from[$name] ?? null) ? $from[$name] : '';
}

function answer_json(int $status, array $data): never
{
    http_response_code($status);
    header('Content-Type: application/json');
    echo json_encode($data, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE), "\n";
    exit;
}

$json = field($_GET, 'format') === 'json';
$page = ['host' => host_name(), 'zone' => config()['zone'] ?? '', 'image' => image_name(), 'rows' => null,
    'entries' => [], 'notice' => null, 'name' => '', 'text' => ''];
header('Cache-Control: no-store');
header('X-Served-By: ' . $page['host'] . ($page['image'] === '' ? '' : ' ' . $page['image']));
header("Content-Security-Policy: default-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");

try {
    $book = new Book(config()['database']);
    if ($_SERVER['REQUEST_METHOD'] === 'POST') {
        $page['name'] = field($_POST, 'name');
        $page['text'] = field($_POST, 'text');
        $page['notice'] = $book->write($page['name'], $page['text'], $page['host']);
        if ($page['notice'] === null && !$json) {
            header('Location: /', true, 303); // A reload of the page must not write twice.
            exit;
        }
        http_response_code($page['notice'] === null ? 201 : 422);
    }
    $page['rows'] = $book->count();
    $page['entries'] = $book->newest($json ? 1 : SHOWN);
} catch (PDOException $e) {
    error_log('shop: database: ' . $e->getMessage());
    http_response_code(503);
    $page['notice'] = 'The guest book cannot be opened just now. The shop is still here; please come back soon.';
}

if ($json) {
    answer_json(http_response_code(), array_filter([
        'host' => $page['host'],
        'zone' => $page['zone'],
        'image' => $page['image'],
        'rows' => $page['rows'],
        'newest' => $page['entries'][0]['text'] ?? null,
        'error' => $page['notice'],
    ], static fn ($value) => $value !== null));
}
header('Content-Type: text/html; charset=utf-8');
show($page);
