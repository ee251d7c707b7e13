<?php
declare(strict_types=1);

/** The guest book: what is written here and what was written before. */
final class Book
{
    private const NAME_MAX = 60;
    private const TEXT_MAX = 500;

    private PDO $db;

    public function __construct(array $database)
    {
        $where = $database['host'] === ''
            ? 'unix_socket=/run/mysqld/mysqld.sock'
            : 'host=' . $database['host'] . ';port=' . $database['port'];
        $this->db = new PDO(
            "mysql:$where;dbname={$database['name']};charset=utf8mb4",
            $database['user'],
            $database['password'],
            [
                PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
                PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
                PDO::ATTR_EMULATE_PREPARES => false,
                PDO::ATTR_TIMEOUT => 3,
            ],
        );
    }

    /** What the visitor must change, or null when the entry was written. */
    public function write(string $name, string $text, string $host): ?string
    {
        $name = self::tidy($name);
        $text = self::tidy($text);
        if ($name === '' || $text === '') {
            return 'Please leave a name and a line.';
        }
        if (mb_strlen($name) > self::NAME_MAX || mb_strlen($text) > self::TEXT_MAX) {
            return sprintf('At most %d letters for the name and %d for the line.', self::NAME_MAX, self::TEXT_MAX);
        }
        $this->query('INSERT INTO entry (name, text, host) VALUES (?, ?, ?)', [$name, $text, $host]);
        return null;
    }

    /** The newest $count entries, newest first. */
    public function newest(int $count): array
    {
        return $this->query('SELECT id, name, text, host, written FROM entry ORDER BY id DESC LIMIT ?', [$count])
            ->fetchAll();
    }

    public function count(): int
    {
        return (int) $this->query('SELECT COUNT(*) FROM entry')->fetchColumn();
    }

    /**
     * The table is made when it is missed, not looked for before every query. Several hosts may do so at
     * the same moment: IF NOT EXISTS lets exactly one of them make it.
     */
    private function query(string $sql, array $values = []): PDOStatement
    {
        try {
            return $this->run($sql, $values);
        } catch (PDOException $e) {
            if ($e->getCode() !== '42S02') {
                throw $e;
            }
        }
        $this->db->exec(
            'CREATE TABLE IF NOT EXISTS entry (
                id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
                name VARCHAR(60) NOT NULL,
                text VARCHAR(500) NOT NULL,
                host VARCHAR(64) NOT NULL,
                written TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
            ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4'
        );
        return $this->run($sql, $values);
    }

    private function run(string $sql, array $values): PDOStatement
    {
        $statement = $this->db->prepare($sql);
        $statement->execute($values);
        return $statement;
    }

    private static function tidy(string $text): string
    {
        return mb_check_encoding($text, 'UTF-8') ? trim(preg_replace('/[\p{C}\s]+/u', ' ', $text)) : '';
    }
}
