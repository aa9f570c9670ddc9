//! Tables of every tool.

use super::*;

#[test]
fn tunemymusic() {
    assert_told(
        fixture!("tunemymusic.csv"),
        Format::TuneMyMusic,
        &[
            "= Road Trip",
            "2 Hello, Goodbye | The Beatles [Magical Mystery Tour] GBAYE0601650 1AbCdEfGhIjKlMnOpQrStU",
            "4 Symphony No. 5 \"Fate\" | Wiener Philharmoniker & Carlos Kleiber",
            "= 夜",
            "3 夜に駆ける | YOASOBI [THE BOOK] JPU901903334 2AbCdEfGhIjKlMnOpQrStU",
            "10 EARFQUAKE 🌋 | Tyler, The Creator [IGOR] USQX91901108",
            "= Liked videos",
            "5 Cupid (Twin Ver.) | FIFTY FIFTY",
            "! 6 Liked videos | ,,,Liked videos,Favorite,, | It has no title.",
            "! 7 Liked videos | Self Aware x Babydoll,,,Liked videos,Favorite,, | It has no artist, and its title is not of the form \"Artist - Title\" either.",
            "! 8 Library Albums | Rumours,Fleetwood Mac,,Library Albums,Album,, | It is an album, not a track.",
            "! 9 Library Artists | Fleetwood Mac,,,Library Artists,Artist,, | It is an artist, not a track.",
            "! 11 Road Trip | Road Trip,,,Road Trip,Playlist,, | It is a playlist, not a track.",
        ],
    );
    assert_told(
        fixture!("tunemymusic_broken.csv"),
        Format::TuneMyMusic,
        &[
            "= Mix",
            "2 Dreams | Fleetwood Mac [Rumours] USWB19900185",
            "6 The Chain | Fleetwood Mac [Rumours]",
            "7 Mambo No. 5 | Lou Bega [A Little Bit of Mambo]",
            "9 Déjà Vu | Beyoncé [B’Day] USSM10602703",
            "! 3 - | Hello, Goodbye,The Beatles,Magical Mystery Tour,Mix,Playlist,GBAYE0601650 | It has 7 columns where the heading has 6.",
            "! 4 - | Jóga | It has 1 column where the heading has 6.",
            "! 5 - | \"Go Your Own Way,Fleetwood Mac,Rumours,Mix,Playlist, | A quotation mark opens in this row and does not close where it should.",
            "! 8 Mix | Hoppípolla,Sigur R\u{fffd}s,Takk...,Mix,Playlist, | Characters of its title or artist are broken; save the file as UTF-8 and import it again.",
            "! 10 - | Linger,The Cran | The file ends in the middle of this row; export it once more.",
        ],
    );
}

#[test]
fn soundiiz() {
    assert_told(
        fixture!("soundiiz.csv"),
        Format::Soundiiz,
        &[
            "= -",
            "2 Jóga | Björk [Homogenic] 305000 ms GBAAN9700018 1AbCdEfGhIjKlMnOpQrStU",
            "3 Left; Right | Artist; Other [A \"Quoted\" Album] 180000 ms",
            "4 사랑을 했다 (LOVE SCENARIO) | iKON [Return] 209000 ms KRA401700322 2AbCdEfGhIjKlMnOpQrStU",
            "5 Get Lucky | Daft Punk, Pharrell Williams, Nile Rodgers [Random Access Memories] 369000 ms USQX91300108",
            "6 Two Lines | Somebody 61000 ms",
            "8 One More Time | Daft Punk [Discovery] GBDUW0000053",
        ],
    );
    assert_told(
        fixture!("soundiiz_broken.csv"),
        Format::Soundiiz,
        &[
            "= -",
            "2 Creep | Radiohead [Pablo Honey] 238000 ms GBAYE9200070 3AbCdEfGhIjKlMnOpQrStU",
            "4 No Surprises | Radiohead [OK Computer] 229000 ms GBAYE9700112",
            "! 3 - | ,Radiohead,OK Computer,,tidal,1234,,, | It has no title.",
            "! 5 - | Just,Radiohead,The Bends,GBAYE9400059,tidal,58990486,soon,2020-01-01,https://tidal.com/track/58990486,extra | It has 10 columns where the heading has 9.",
            "! 7 - | Airbag | It has 1 column where the heading has 9.",
            "! 8 - | Nude,,In Rainbows,,,,,, | It has no artist, and its title is not of the form \"Artist - Title\" either.",
        ],
    );
}

#[test]
fn exportify() {
    assert_told(
        fixture!("exportify.csv"),
        Format::Exportify,
        &[
            "= -",
            "2 Get Lucky (feat. Pharrell Williams & Nile Rodgers) - Radio Edit | Daft Punk,Pharrell Williams,Nile Rodgers [Random Access Memories] 248413 ms USQX91300104 1AbCdEfGhIjKlMnOpQrStU",
            "3 See You Again (feat. Kali Uchis) | Tyler, The Creator; Kali Uchis [Flower Boy] 180387 ms USQX91701278 2AbCdEfGhIjKlMnOpQrStU",
            "4 \"Heroes\" - 2017 Remaster | David Bowie [\"Heroes\" (2017 Remaster)] 371413 ms USJT11700030 3AbCdEfGhIjKlMnOpQrStU",
            "5 The Fate 🎶 | Afrospin 231000 ms",
            "7 Кукушка | Кино [Чёрный альбом] 400000 ms RUA1D1000123 5AbCdEfGhIjKlMnOpQrStU",
            "8 Line one line two | Nobody 1000 ms 6AbCdEfGhIjKlMnOpQrStU",
            "10 Jóga | Björk [Homogenic] 305000 ms GBAAN9700018 7AbCdEfGhIjKlMnOpQrStU",
            "! 6 - | \"spotify:episode:4AbCdEfGhIjKlMnOpQrStU\",\"Episode 12: Dashes\",\"spotify:artist:x\",\"\",\"spotify:album:y\",\"Some Podcast\",\"s… | It is an episode of a podcast, not a track.",
        ],
    );
    assert_told(
        fixture!("exportify_broken.csv"),
        Format::Exportify,
        &[
            "= -",
            "2 One More Time | Daft Punk [Discovery] 320357 ms GBDUW0000053 1AbCdEfGhIjKlMnOpQrStU",
            "5 Digital Love | Daft Punk [Discovery] 3AbCdEfGhIjKlMnOpQrStU",
            "! 3 - | \"spotify:track:2AbCdEfGhIjKlMnOpQrStU\",\"Aerodynamic\",\"spotify:artist:x\" | It has 3 columns where the heading has 19.",
            "! 4 - | \"\",\"\",\"spotify:artist:x\",\"\",\"spotify:album:y\",\"\",\"spotify:artist:x\",\"\",\"2001-03-12\",\"https://i.scdn.co/image/ab\",\"1\",\"3… | It has no title.",
            "! 6 - | \"spotify:track:4AbCdEfGhIjKlMnOpQrStU\",\"Harder, Better, Faster, Stronger\",\"spotify:artist:x\",\"Daft Punk\",\"spotify:album… | The file ends in the middle of this row; export it once more.",
        ],
    );
}

#[test]
fn exportify_net() {
    assert_told(
        fixture!("exportify_net.csv"),
        Format::ExportifyNet,
        &[
            "= -",
            "2 It's A Memory - Oliver Remix | Fred Falke;Elohim;Oliver [It's A Memory] 318786 ms 1AbCdEfGhIjKlMnOpQrStU",
            "3 アイドル | YOASOBI;Ayase [【推しの子】] 213000 ms 2AbCdEfGhIjKlMnOpQrStU",
            "4 Hello, Goodbye | The Beatles [Magical Mystery Tour] 209000 ms 3AbCdEfGhIjKlMnOpQrStU",
            "5 7\" Mix, \"Live\" | Some Band [Singles] 240000 ms 4AbCdEfGhIjKlMnOpQrStU",
            "6 ❤ | Emoji Artist [Symbols] 60000 ms 5AbCdEfGhIjKlMnOpQrStU",
        ],
    );
    assert_told(
        fixture!("exportify_net_broken.csv"),
        Format::ExportifyNet,
        &[
            "= -",
            "2 City of Sound | Big Wild [Superdream] 232000 ms 1AbCdEfGhIjKlMnOpQrStU",
            "4 Bad Id | Big Wild [Superdream]",
            "! 3 - | spotify:track:2AbCdEfGhIjKlMnOpQrStU,\"No Artist\",\"Superdream\",\"\",2019-02-01,232000,45,false,someone,2024-01-01T00:00:00… | It has no artist, and its title is not of the form \"Artist - Title\" either.",
            "! 5 - | spotify:track:3AbCdEfGhIjKlMnOpQrStU,\"Afterglow\" | It has 2 columns where the heading has 24.",
            "! 6 - | spotify:track:4AbCdEfGhIjKlMnOpQrStU,\"Aftergold, \"Superdream\",\"Big Wild\",2019-02-01,207000,45,false,someone,2024-01-01T… | It has 23 columns where the heading has 24.",
            "! 7 - | spotify:track:5AbCdEfGhIjKlMnOpQrStU,\"6's to 9's\",\"Super | The file ends in the middle of this row; export it once more.",
        ],
    );
}

#[test]
fn roon() {
    assert_told(
        fixture!("roon.csv"),
        Format::Roon,
        &[
            "= -",
            "2 Alice | Tom Waits [Alice] USEP41718138",
            "3 November (Remastered) | Tom Waits [The Black Rider] USIR19390103",
            "4 Weekend; Part II | Sault & Friends [Untitled (Black Is)] GBKPL2030512 GBKPL2030513",
            "5 Les Fleurs | Minnie Riperton [Come to My Garden]",
            "6 Für Elise | Lang Lang, Gewandhausorchester [Piano Book 🎹] DEF051800123",
        ],
    );
    assert_told(
        fixture!("roon_broken.csv"),
        Format::Roon,
        &[
            "= -",
            "2 Alice | Tom Waits [Alice]",
            "7 Kommienezuspadt | Tom Waits [Alice] USEP41718139",
            "8 Misery Is the River of the World | Tom Waits [Blood Money]",
            "9 Weímar | Künstler [Älbum]",
            "! 3 - | November | It has 1 column where the heading has 4.",
            "! 4 - | ;Tom Waits;The Black Rider;usir19390103 | It has no title.",
            "! 5 - | Top 10; Live;Tom Waits;Alice; | It has 5 columns where the heading has 4.",
            "! 6 - | \"Poor Edward;Tom Waits;Alice;usep41718140 | A quotation mark opens in this row and does not close where it should.",
        ],
    );
}

#[test]
fn the_same_heading_is_soundiiz_if_the_isrcs_are_in_upper_case() {
    let file = "title;artist;album;isrc\nAlice;Tom Waits;Alice;USEP41718138\n";
    let as_roon = file.replace("USEP", "usep");
    for (file, format) in [
        (file.to_owned(), Format::Soundiiz),
        (as_roon.clone(), Format::Roon),
        (format!("\u{feff}{as_roon}"), Format::Soundiiz),
        (as_roon.replace(';', ","), Format::Csv),
    ] {
        let song = "2 Alice | Tom Waits [Alice] USEP41718138";
        assert_told(file.as_bytes(), format, &["= -", song]);
    }
}

#[test]
fn apple_text() {
    assert_told(
        fixture!("apple_music.txt"),
        Format::AppleText,
        &[
            "= -",
            "2 All Your Hiding | Moonrisers [Harsh & Exciting] 172000 ms",
            "3 \"Heroes\" (2017 Remaster) | David Bowie [\"Heroes\"] 371000 ms",
            "4 夜に駆ける | YOASOBI [THE BOOK] 261000 ms",
            "5 \"Unclosed | Some Band 200000 ms",
            "6 Get Lucky | Daft Punk, Pharrell Williams & Nile Rodgers [Random Access Memories] 369000 ms",
            "7 🌋 | Various [Emoji – Single] 59000 ms",
        ],
    );
    assert_told(
        fixture!("apple_music_german.txt"),
        Format::AppleText,
        &[
            "= -",
            "2 All Your Hiding | Moonrisers [Harsh & Exciting] 172000 ms",
            "3 \"Heroes\" (2017 Remaster) | David Bowie [\"Heroes\"] 371000 ms",
            "4 夜に駆ける | YOASOBI [THE BOOK] 261000 ms",
        ],
    );
    assert_told(
        fixture!("apple_music_broken.txt"),
        Format::AppleText,
        &[
            "= -",
            "2 All Your Hiding | Moonrisers [Harsh & Exciting] 172000 ms",
            "6 夜に駆ける | YOASOBI [THE BOOK] 261000 ms",
            "! 3 - | No Artist Some Composer Album Pop 7126978 100 1 1 3 10 2020 30.04.25, 08:52 30.04.25, 08:52 256 44100 Apple Music AAC a… | It has no artist, and its title is not of the form \"Artist - Title\" either.",
            "! 4 - | Only a title | It has 1 column where the heading has 31.",
            "! 5 - | Nobody Some Composer Pop 7126978 1 1 1 3 10 2020 30.04.25, 08:52 30.04.25, 08:52 256 44100 Apple Music AAC audio file 1… | It has 33 columns where the heading has 31.",
            "! 7 - | Get Lucky Daft P\u{fffd} | The file ends in the middle of this row; export it once more.",
        ],
    );
}

#[test]
fn apple_text_is_read_in_every_language() {
    let names = [
        ["Name", "Artist", "Album", "Time"],
        ["Name", "Künstler:in", "Album", "Dauer"],
        ["Nom", "Artiste", "Album", "Durée"],
        ["Nombre", "Artista", "Álbum", "Duración"],
        ["Nome", "Artista", "Album", "Durata"],
        ["Nome", "Artista", "Álbum", "Tempo"],
        ["Naam", "Artiest", "Album", "Duur"],
        ["名前", "アーティスト", "アルバム", "時間"],
        ["Namn", "Artist", "Album", "Tid"],
        ["Название", "Артист", "Альбом", "Время"],
        ["名称", "艺人", "专辑", "时间"],
        ["이름", "아티스트", "앨범", "시간"],
        // A language of which not a word is known.
        ["Ainm", "Ealaíontóir", "Albam", "Am"],
    ];
    let row = |columns: [&str; 4], count: usize, time: usize| {
        let mut row = vec!["x"; count];
        (row[0], row[1], row[3], row[time]) = (columns[0], columns[1], columns[2], columns[3]);
        row.join("\t")
    };
    for columns in names {
        for (count, time) in [(31, 11), (27, 7)] {
            let heading = row(columns, count, time);
            let song = row(["Jóga", "Björk", "Homogenic", "305"], count, time);
            let file = format!("{heading}\r\n{song}\r\n");
            let expected = ["= -", "2 Jóga | Björk [Homogenic] 305000 ms"];
            assert_told(file.as_bytes(), Format::AppleText, &expected);
        }
    }
}

#[test]
fn any_table_whose_heading_is_known() {
    assert_told(
        fixture!("table.csv"),
        Format::Csv,
        &[
            "= -",
            "3 Hello, Goodbye | The Beatles [Magical Mystery Tour] 209000 ms",
            "4 Pipe | Dream | Some \"Band\" 245000 ms 1AbCdEfGhIjKlMnOpQrStU",
            "5 夜に駆ける | YOASOBI [THE BOOK] 261000 ms",
            "7 Jóga | Björk [Homogenic] 305000 ms",
        ],
    );
    assert_told(
        fixture!("table_broken.csv"),
        Format::Csv,
        &[
            "= -",
            "2 Jóga | Björk GBAAN9700018 GBAAN9700019",
            "! 3 - | Creep | It has 1 column where the heading has 3.",
            "! 4 - | Radiohead | It has no title.",
            "! 5 - | Karma Police Radiohead extra | It has 4 columns where the heading has 3.",
            "! 6 - | No Artist | It has no artist, and its title is not of the form \"Artist - Title\" either.",
            "! 8 - | Last On | The file ends in the middle of this row; export it once more.",
        ],
    );
    // Written by hand: the last fields are left out where there is nothing to say.
    let file = "Song, Artist, Album\nJóga, Björk\nCreep, Radiohead, Pablo Honey\nNude, Radiohead";
    let expected = [
        "= -",
        "2 Jóga | Björk",
        "3 Creep | Radiohead [Pablo Honey]",
        "4 Nude | Radiohead",
    ];
    assert_told(file.as_bytes(), Format::Csv, &expected);
    // From a spreadsheet: it names its delimiter, and each row ends with one.
    let file = "sep=;\r\nSong;Artist\r\nJóga;Björk;\r\nCreep;Radiohead;\r\n";
    let expected = ["= -", "3 Jóga | Björk", "4 Creep | Radiohead"];
    assert_told(file.as_bytes(), Format::Csv, &expected);
}
