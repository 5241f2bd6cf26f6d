"""Sentences that are as their authors wrote them, in many languages, for whatever must leave them alone."""

FINE = {
    "English": [
        "The weights of one query add up to 1 – “softmax” divides by its own sum.",
        "Café, naïve, coöperate, façade, résumé: borrowed words keep their accents.",
        "What??? No!!! Really?! He asked: “Why?” — and left…",
        "Temperature 20 °C ± 0.5 °C, a 3×3 matrix, 5 × 10⁻⁹, ½·x², §3.2.1, © 2017, £5, 7 ½″, Ångström.",
    ],
    "Hebrew": [
        "סכום המשקלים של שאילתה אחת הוא תמיד 1, כי softmax מחלק בסכום של עצמו.",
        "מנגנון הקשב (attention) שוקל את כל המילים במשפט – גם את הרחוקות ביותר.",
        "שָׁלוֹם עוֹלָם, ״מירכאות״ ו׳גרש׳; צה״ל, ג׳ירפה, 50% מהמקרים.",
        "כמה פרמטרים יש בשכבה? $d_k = 64$ ולכן $\\sqrt{d_k} = 8$.",
    ],
    "German": [
        "Größe, Übung, Straße, äußerst, Öl: Die Gewichte ergeben zusammen eins.",
        "Ähm … „Ä“, sagte er – ÄÖÜ äöü ß; Äääh, ööö, §§ 3 und 4.",
        "Ein Kodierer liest den Satz in beiden Richtungen; der Dekodierer schreibt ihn Wort für Wort.",
    ],
    "Spanish": [
        "¿Cuántas cabezas tiene la atención? ¡Ocho! Así también lo dice el artículo.",
        "El año pasado, la señora Muñoz añadió la codificación posicional: «¡qué ñoñería!».",
        "Pingüino, averigüéis, cigüeña; nº 1, 2ª, 3º.",
    ],
    "Polish": [
        "Zażółć gęślą jaźń: ćma, źdźbło, łódź, ślęczeć, Ąę, Ćś.",
        "Warstwa uwagi sumuje wartości ważone podobieństwem zapytania i klucza.",
    ],
    "French": [
        "Où est passée l’œuvre d’été ? « À gauche », dit-elle ; l’ÉTÉ, ça dépend, là-bas, à côté.",
        "Les poids d’attention sont-ils égaux ? Çà et là, oui : 50 %, ¾, n° 5.",
    ],
    "Portuguese": ["A atenção não é só uma média: três cabeças, dez posições, ÃO, ÕES, às vezes é à toa."],
    "Chinese": [
        "注意力机制的权重之和总是等于一,因为归一化指数函数除以自身的和。",
        "多头注意力让模型同时关注不同类型的依赖关系。",
        "请选择正确的答案:编码器、解码器,还是两者都有?",
        "联通、住宅、专注、转换、拽住、祝福、驻扎、注意、砖块。",
        "专家专注转型,住户注意转专线。",
        "小学写信需要新闻。",
        "查询、键与值分别是什么?BERT模型有12层,n个词,d维向量。",
        "注意力機制的權重總和永遠等於一,因為歸一化指數函數會除以自身的總和。",
    ],
    "Japanese": [
        "注意の重みの合計は必ず1になります。ソフトマックスは自分自身の和で割るからです。",
        "ﾊﾝｶｸｶﾅも使えます。エンコーダーとデコーダー。",
    ],
    "Korean": ["어텐션 가중치의 합은 언제나 1입니다. 소프트맥스가 자신의 합으로 나누기 때문입니다."],
    "Russian": [
        "Сумма весов одного запроса всегда равна единице: softmax делит на собственную сумму.",
        "Ёжик, объём, съёмка — «ещё одна» проверка № 5.",
    ],
    "Greek": ["Το άθροισμα των βαρών κάθε ερωτήματος είναι πάντα ένα· γιατί; Επειδή η softmax διαιρεί."],
    "Arabic": ["مجموع أوزان الاستعلام الواحد يساوي واحدًا دائمًا، لأن الدالة تقسم على مجموعها. كم رأسًا؟"],
    "Turkish": [
        "Dikkat ağırlıklarının toplamı her zaman birdir; çünkü softmax kendi toplamına böler. İğne, ışık, şöför."
    ],
    "Czech": ["Příliš žluťoučký kůň úpěl ďábelské ódy. Váhy se sčítají do jedné."],
    "Hungarian": ["Árvíztűrő tükörfúrógép: a súlyok összege mindig egy. ŐŰ, őű."],
    "Swedish": ["Vikternas summa är alltid ett – å, ä, ö, Å–Ä–Ö, på ön, åå, i åa ä e ö."],
    "Icelandic": ["Það er ævintýri að læra á íslensku; þú átt ættingja á Ísafirði, æ, ó, já, ýta."],
    "Vietnamese": ["Tổng các trọng số của một truy vấn luôn bằng một. Có bao nhiêu đầu chú ý?"],
    "Hindi": ["एक प्रश्न के भारों का योग सदा एक होता है, क्योंकि सॉफ्टमैक्स अपने योग से भाग देता है।"],
    "Thai": ["ผลรวมของน้ำหนักของหนึ่งคำถามเท่ากับหนึ่งเสมอ"],
    "Ukrainian": ["Сума ваг одного запиту завжди дорівнює одиниці, бо їх ділять на їхню суму. Ґанок, їжак, є."],
    "formulas": [
        "$\\mathrm{softmax}(QK^\\top/\\sqrt{d_k})V$, $\\alpha_{ij} \\in [0,1]$, $\\sum_j \\alpha_{ij} = 1$",
        "α, β, γ ≤ ∑ᵢ xᵢ · √dₖ ≠ ∞, ∂L/∂w → 0, ‖x‖₂, x ∈ ℝⁿ, ½, ¼, ×, ÷, ±, µ, Ω, 90°",
        "H = −∑ p log₂ p; 0.9047 ≈ 808 / 893; 2×½ = 1; «3×4»; n×“d”",
        '`x[:, ::2] = torch.sin(t)`; C++; C#; a ?? b; x ? y : z; ??; s = "ÄÖÜ"',
        "1 ⟶ 2 ⟵ 3 ✓ ✗ 🎉 👩‍💻 — zero-width‍joiner, soft­hyphen",
    ],
}
