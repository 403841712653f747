"""Short texts in the legacy encodings of many languages, without a declaration."""

from __future__ import annotations

from indexer.readers.text.charsets import decode

# The encodings of a language, and texts.
TEXTS = """
cp1252: Die Tür ist geöffnet / Größe und Gewicht / Grüße aus Köln / Bücher für Schüler / Das Mädchen läuft schnell /
    Öffnungszeiten: täglich
cp1252: Le garçon est fatigué / Où êtes-vous né ? / La forêt est très belle / Café fermé l'été / L'hôtel de la gare
    / Déjà vu à Noël / Une bûche et du goût
cp1252: El niño está aquí / Mañana será otro día / La canción española / Información práctica / ¿Dónde está el baño?
    / Sábado y miércoles
cp1252: As estações do ano / Três irmãos e uma mãe / Não há informações / O coração da cidade / Opções de
    configuração / Lições de português / Põe o pão na mesa
cp1252: La città è grande / Perché non è più qui / Lunedì e martedì / Così va la libertà / Un po' di caffè /
    L'università di Forlì
cp1252: De financiële crisis / Hij is geïnteresseerd / Het café is één uur open / België en Nederland / Een reünie
    met vriendén
cp1252: Han är på väg hem / Sjön är vacker på våren / Öppet alla dagar / Vi läser många böcker / Läkaren är här
cp1252: Hun læser på første sal / Vi rejser i påsken / Åbent hele året / Rødgrød med fløde / Børnene er i skole
cp1252: Äiti on töissä / Hän lähtee kotiin / Tämä on hyvä päivä / Sää on kylmä / Pöytä ja tyyny / Älä mene yöllä
    metsään
cp1252: Það er gott veður / Ég á þrjá bræður / Húsið er við ána / Góðan daginn, Þóra
cp1257 cp1252: Õhtu on käes / Põhja pool on külm / Kõik on hästi / Täna on ilus päev / Õpilane läheb kooli / Võti on
    ukse ees / Sõber tuleb homme külla / Lõuna ajal sööme suppi
cp1257: Šodien ir jauka diena / Māte gāja uz tirgu / Bērni spēlējas dārzā / Rīga ir galvaspilsēta
cp1257: Šiandien graži diena / Vaikai žaidžia kieme / Lietuvių kalba yra graži / Aš myliu savo šalį
cp1250 iso8859-2: Wstęp wolny dla dzieci / Źródło wody pitnej / Książka leży na półce / Dziękuję za pomoc / Śnieg
    pada całą noc
cp1250 iso8859-2: Příliš žluťoučký kůň / Děti si hrají na dvoře / Dnes je hezký den / Kde je nádraží? / Řeka teče
    pomalu
cp1250: Ďakujem za všetko / Kde je železničná stanica / Môj otec číta knihu / Deti sa hrajú vonku
cp1250 iso8859-2: Az idő szép ma / A nő könyvet olvas / Szeretnék egy jegyet / Hűvös őszi nap / Az erdő szélén áll /
    Jó reggelt kívánok / Budapest fővárosa Magyarországnak / Hét törpe az erdőben / Gyűjtemény és könyvtár / A szőlő
    édes és érett / Minden jegy elővételben kapható / Tűzoltók és mentők
cp1250: Kje je železniška postaja / Otroci se igrajo zunaj na travi, češnje / Hiša je čisto nova / Življenje je lepo
cp1250: Djeca se igraju u dvorištu / Gdje je željeznički kolodvor / Kuća je na brežuljku / Čaša vode, molim
cp1250: Astăzi este o zi frumoasă / Copiii se joacă în grădină / Unde este gara, vă rog / Mâine plecăm la munte
cp1254: Bugün hava çok güzel / Çocuklar bahçede oynuyor / İyi geceler, görüşürüz / Kitabı masanın üstünde / Şehir
    çok kalabalık
cp1251 koi8-r: Сегодня хорошая погода / Дети играют во дворе / Где вокзал?
cp1251: Сьогодні гарна погода / Діти грають надворі / Їжак біжить лісом
cp1251: Днес времето е хубаво / Децата играят на двора / Къде е гарата?
cp1253 iso8859-7: Σήμερα έχει καλό καιρό / Τα παιδιά παίζουν έξω
cp1255: היום יום יפה מאוד / הילדים משחקים בחוץ
cp1256: الطقس جميل اليوم / الأطفال يلعبون في الحديقة
cp874: วันนี้อากาศดีมาก
cp932 euc_jp: 今日は天気がいいです / 子供たちは外で遊ぶ
gb18030: 今天天气很好 / 孩子们在外面玩
big5: 今天天氣很好 / 孩子們在外面玩
cp949: 오늘 날씨가 좋아요 / 아이들이 밖에서 놀아요
cp850: Die Tür ist geöffnet
"""
MIN_SHARE = 0.95  # of the texts; a word such as "hezký" may be Turkish "hezkı"
MIN_LANGUAGE_SHARE = 0.75  # the detector alone: 0 of Lithuanian, 0.67 of Hungarian


def test_short_texts_of_many_languages_are_decoded() -> None:
    shares, wrong, number = [], [], 0
    for line in TEXTS.replace("\n    ", " ").strip().split("\n"):
        encodings, _, joined = line.partition(": ")
        texts = joined.split(" / ")
        for encoding in encodings.split():
            decoded = [decode(text.encode(encoding)) for text in texts]
            faults = [(encoding, *pair) for pair in zip(texts, decoded, strict=True) if pair[0] != pair[1]]
            shares.append(1 - len(faults) / len(texts))
            number += len(texts)
            wrong += faults
    assert len(wrong) <= (1 - MIN_SHARE) * number, wrong
    assert min(shares) >= MIN_LANGUAGE_SHARE, wrong
