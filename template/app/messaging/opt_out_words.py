"""The words of an opt-out in writing, in the languages that a project can have. All of them always count.

Lower case, without accents, one space for the characters between words: as `plain` of opt_out.py makes a text. Neither
lawyers nor native speakers have reviewed them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# The whole message, in any language. A word that an answer may consist of ("cancelar", "Ende", "fin") is not here,
# but for those that Twilio itself takes for an opt-out.
TWILIO_STOPS = {
    "stop",
    "stopall",
    "unsubscribe",
    "cancel",
    "end",
    "quit",
    "revoke",
    "optout",
    "arret",
    "arrete",
    "arrett",
}
TWILIO_STARTS = {"start", "unstop", "yes"}


class Words(NamedTuple):
    """Of one language, as `plain` writes them. Regular expressions, but for `fillers`."""

    stop: str  # the whole message, beside `stop` and `fillers`
    start: str  # the whole message, of a customer who has opted out
    phrases: str  # in one clause of a message: nothing else can be meant
    unless: str  # a clause that has this is a question, a report or the contrary
    fillers: str  # words that change nothing, separated by spaces


LANGUAGES: Mapping[str, Words] = {
    "en": Words(
        stop=r"stop( it| this| all| now)?|unsubscribe( me)?|opt ?out|opt me out|stop (the )?(messages?|texts?|"
        r"msgs?|sms|spam)",
        start=r"start|un ?stop|(re)?subscribe( me)?|opt ?(me )?(back )?in",
        phrases=r"stop (\w+ ){0,2}(text|texts|texting|messag\w*|msgs?|msging|sms|contacting|spamming|writing|"
        r"bothering)|stop sending (me )?((these|those|this|any|more|your|stupid) )*(texts?|messages?|msgs?|sms|spam|"
        r"these|this)|stop sending me$|unsubscribe me|opt me out|(do not|don t|dont|never) (ever )?(text|message|"
        r"sms|contact|write|write to|bother|spam) (me|this number|us)|(do not|don t|dont) send (me )?(any|any more|"
        r"anymore|more|these|further) (\w+ )?(texts?|messages?|sms)|(no more|enough) (texts?|messages?|sms|texting|"
        r"messaging)( please)?$|(remove|delete|take|get) (me|my (phone )?number|this number) (from|off|"
        r"out of) \w*( \w+){0,3} ?lists?|(i|we) (want|wish|would like|d like|need) to (opt out|unsubscribe|"
        r"be (removed|taken off))|(i|we) (revoke|withdraw) (my|our|all|any) (\w+ )?consent|(i m|i am|"
        r"we re) opting out|lose my number|(do not|don t|dont|no longer) want (\w+ ){0,4}(texts|messages|"
        r"sms)( from you)?( any ?more)?$|leave me alone",
        unless=r"\b(why|how|when|what|who|did|if i|unless|until)\b.*\b(stop|unsubscribe|opt|text|messag|contact|"
        r"send|remove)|(?<!if you )\b(do not|don t|dont|never|didn t|didnt|can t|cant) (\w+ )?(stop|unsubscribe|opt|"
        r"remove)|\b(you|they|it|he|she|have|has|had|already) (have |had )?(stopped|unsubscribed)|\b(tell|ask|make|"
        r"get) (him|her|them|it)|\bby (phone|call|calling|mail|e ?mail|post)\b",
        fillers="please pls plz ok okay thanks thank you now already just hey hi hello all them it immediately",
    ),
    "es": Words(
        stop=r"alto|parar|pare|para ya|baja|dar(me)? de baja|de ?suscribir(me)?|anular suscripcion|"
        r"no mas (mensajes|sms)",
        start=r"iniciar|inicio|empezar|comenzar|alta|suscribir(me)?",
        phrases=r"(deje|deja|dejen|dejad|pare|para|paren) de (escribir|enviar|mandar|contactar|molestar)(me|nos)?|"
        r"no me (escriba|escribas|escriban|envie|envies|envien|mande|mandes|manden|contacte|contactes|contacten|"
        r"moleste|molestes|molesten)|no quiero (recibir )?mas (mensajes|sms)|no quiero recibir (sus |tus |"
        r"estos )?(mensajes|sms)|(dame|deme|denme|darme) de baja|(quiero|deseo) (la baja|darme de baja)|(borre|"
        r"borra|borren|quite|quita|quiten|elimine|elimina|eliminen)(me)? (mi numero )?de (su|la|tu|vuestra) lista|"
        r"dejame en paz|dejeme en paz",
        unless=r"\b(por que|porque|como|cuando|si (no )?me|no (quiero|quise) (que )?(dej|dar))|\bno (deje|deja|"
        r"dejen|pare|paren) de",
        fillers="por favor gracias ya ahora hola",
    ),
    "fr": Words(
        stop=r"arret(er|ez|e)?|arrete tout|stop ?sms|desabonner|desabonnez moi|desabonne moi|desinscription|"
        r"me desinscrire|me desabonner",
        start=r"debut|commencer|reprendre|abonner|reabonner|reabonnez moi",
        phrases=r"(arretez|arrete|cessez|cesse) de (m |me )(ecrire|envoyer|contacter|texter|harceler|deranger)|"
        r"(ne )?(m |me )(ecrivez|ecris|envoyez|envoie|contactez|contacte|textez|texte) (plus|pas)|(je )?(ne )?(veux|"
        r"souhaite) plus (recevoir |de )(\w+ )?(messages?|sms|textos?)|(ne )?(veux|souhaite) plus (etre contacte|"
        r"que vous m)|desabonnez moi|desinscrivez moi|(retirez|enlevez|supprimez|otez) (moi|mon numero) de (votre|"
        r"la|vos) listes?|laissez moi tranquille|(je )?(veux|souhaite) me (desabonner|desinscrire)",
        unless=r"\b(pourquoi|comment|quand|si (je|vous))\b|\bn (arretez|arrete) pas",
        fillers="svp stp s il vous te plait merci maintenant bonjour tout",
    ),
    "de": Words(
        stop=r"stopp(en)?|aufhoren|abmelden|abbestellen|austragen|keine (nachrichten|sms) mehr|schluss damit",
        start=r"anmelden|wieder anmelden|starten",
        phrases=r"(hor|horen sie|hort) auf (mir |mich |uns )?(zu )?(\w+ ){0,3}(schreiben|kontaktieren|senden|"
        r"schicken|nerven|belastigen)|(schreib|schreiben sie|schreibt|kontaktieren sie|kontaktier|kontaktiert) (mir|"
        r"mich|uns) (bitte )?nicht|(schicken|senden) sie mir (bitte )?(keine|nichts)|(schick|send|"
        r"sende) mir (bitte )?(keine|nichts)|(ich )?(will|mochte|wunsche) keine (\w+ )?(nachrichten|sms|"
        r"texte)( mehr)?|keine (weiteren )?(nachrichten|sms) mehr|(melden sie mich|meld mich|meldet mich) ab|"
        r"(ich )?(will|mochte) mich abmelden|(loschen|streichen|nehmen|entfernen) sie (mich|meine nummer) (von|"
        r"aus) (ihrer|der) (\w+ )?liste|hor(en sie|t)? auf( bitte)?$|lass(en sie|t)? mich in ruhe|"
        r"nicht mehr (an)?schreiben$",
        unless=r"\b(warum|wieso|weshalb|wann|wie|ob|wenn)\b|\bhor(en sie|t)? nicht auf|\bstoppen sie nicht",
        fillers="bitte danke jetzt sofort hallo alles",
    ),
    "it": Words(
        stop=r"smetti|smettila|smettetela|fermati|disiscrivi(mi)?|cancellami|disiscrivermi|basta (messaggi|sms)|"
        r"niente piu (messaggi|sms)",
        start=r"inizia|iniziare|riprendi|iscrivi(mi)?",
        phrases=r"(smetti|smettila|smetta|smettete|smettetela) di (scriver|mandar|inviar|contattar|disturbar)\w*|"
        r"non (mi )?(scriva|scrivere|scrivete|scrivetemi|scrivermi|contattare|contattarmi|contatti|contattate|"
        r"contattatemi|mandare|mandarmi|mandatemi|inviatemi|inviarmi) (piu|mai piu)|"
        r"non voglio (piu )?(ricevere )?(piu )?(altri )?(messaggi|sms|essere contattat\w)|(disiscrivimi|"
        r"disiscrivetemi|cancellatemi|toglietemi|rimuovetemi|toglimi|rimuovimi)( da(l|lla|i|lle)? (vostr\w |"
        r"tu\w )?(list\w|elenc\w))?$|(voglio|vorrei) disiscrivermi|lasciatemi in pace|lasciami in pace",
        unless=r"\b(perche|come|quando|se)\b|\bnon (smetti|smetta|smettete) di",
        fillers="per favore grazie adesso ora subito ciao",
    ),
    "pt": Words(
        stop=r"pare|parar|parem|sair|descadastrar|descadastre me|cancelar inscricao|chega de mensagens|"
        r"nao quero mais mensagens",
        start=r"iniciar|comecar|inscrever",
        phrases=r"(pare|parem|para|deixe|deixem) de (me )?(escrever|enviar|mandar|contatar|incomodar|"
        r"perturbar)( me)?|nao (me )?(mande|mandem|envie|enviem|escreva|escrevam|contate|contatem|incomode|"
        r"incomodem)( me)? (mais|nada|novamente)|nao quero (mais )?(receber )?(mais )?(suas |essas |"
        r"estas )?(mensagens|sms|ser contatad\w)|(me )?(descadastre|descadastrem)( me)?|(quero|"
        r"gostaria de) (me )?(descadastrar|sair da lista)|(me )?(remova|remover|retire|tire|"
        r"tirem)( me)?( meu numero)? d(a|e) (sua |vossa )?lista|me deixe em paz|deixe me em paz",
        unless=r"\b(por que|porque|como|quando|se (eu|voce))\b|\bnao (pare|parem|deixe|deixem) de",
        fillers="por favor obrigado obrigada agora ja ola oi",
    ),
    "nl": Words(
        stop=r"stoppen|afmelden|uitschrijven|geen (berichten|sms) meer|meld mij af|meld me af|hou op|houd op",
        start=r"aanmelden|hervatten|weer aanmelden",
        phrases=r"(stop|hou op|houd op|houdt u op|stopt u) met (mij |me |ons )?(\w+ ){0,2}(berichten|appen|sms en|"
        r"schrijven|contacteren|sturen|lastigvallen)|(stuur|stuurt u) (mij |me )(alstublieft |aub )?(geen|niets|"
        r"niks)|(app|sms|bericht|schrijf|contacteer|benader) (mij|me) (niet|nooit)|(ik )?wil geen (\w+ )?(berichten|"
        r"sms|appjes)|(meld|schrijf) (mij|me) (af|uit)|(ik )?wil (mij|me) (afmelden|uitschrijven)|(haal|verwijder|"
        r"schrap) (mij|me|mijn nummer) (van|uit) (jullie|uw|de|je) lijst|laat (mij|me) met rust",
        unless=r"\b(waarom|hoe|wanneer|als)\b|\b(stop|hou|houd) niet",
        fillers="alstublieft aub alsjeblieft graag bedankt nu direct hallo",
    ),
    "pl": Words(
        stop=r"przestan(cie)?|wypisz( mnie)?|wypisuje sie|koniec (wiadomosci|smsow)|prosze przestac",
        start=r"zapisz( mnie)?|wznow",
        phrases=r"(przestan|przestancie|prosze przestac|niech pan\w? przestanie) (do mnie |mi )?(pisac|wysylac|"
        r"smsowac|nekac|przysylac|kontaktowac)|(prosze )?nie (pisz|piszcie|pisac|wysylaj|wysylajcie|wysylac|"
        r"przysylac|przysylajcie|kontaktowac)( sie)? (do mnie|mi|ze mna|wiecej|juz)|nie (chce|"
        r"zycze sobie) (juz )?(wiecej )?(otrzymywac |dostawac )?(juz |wiecej )?(tych |waszych )?(wiadomosci|smsow|"
        r"sms|kontaktu)|(prosze )?(wypisac|wypisz|wypiszcie|usunac|usun|usuncie) mnie( z (waszej |tej )?listy)?|"
        r"(prosze )?(usunac|usun|usuncie) moj numer|cofam zgode|wycofuje zgode|chce sie wypisac|dajcie mi spokoj|"
        r"daj mi spokoj",
        unless=r"\b(dlaczego|czemu|jak|kiedy|jesli|czy)\b|\bnie (przestawaj|przestawajcie|przestan)",
        fillers="prosze dziekuje teraz juz natychmiast dzien dobry",
    ),
    "ja": Words(
        stop=r"停止|配信停止|配信停止希望|ストップ|やめて(ください|下さい)?|止めて(ください|下さい)?|購読解除|"
        r"登録解除",
        start=r"再開|配信再開|開始|スタート",
        phrases=r"(メッセージ|メール|sms|ショートメール|連絡|配信)(の送信|を送るの)?(は|を|も)?(もう)?(やめて|"
        r"止めて|停止して|送らないで|しないで)|(送って|送信して|連絡して|送り付けて)(こ|来)ないで|もう(送ら|送信し|"
        r"連絡し)ないで|配信(を)?停止(して|希望|をお願い|お願い)|リストから(外して|削除して|消して)|"
        r"(もう)?(メッセージ|配信)は?(不要|いりません|要りません|結構です)",
        unless=r"なぜ|どうして|方法|どうやって|やめないで|止めないで|停止しないで",
        fillers="",
    ),
    "ko": Words(
        stop=r"수신 ?거부|중지|그만|그만 ?(하세요|해주세요|해 주세요|해)|구독 ?(취소|해지)|스톱",
        start=r"시작|수신 ?동의|다시 ?시작|구독",
        phrases=r"(문자|메시지|메세지|연락|톡) ?(를|을|는|은|좀)? ?(더 ?이상 ?|그만 ?|이제 ?)?(보내지|하지|"
        r"주지) ?(마|말)|(더 ?이상|다시는|이제) ?(보내지|연락하지) ?(마|말)|(문자|메시지|메세지|연락)(를|을|는|은|"
        r"도|좀)? ?(그만|중지|중단)|그만 ?(보내|연락)|수신 ?거부(합니다|할게요|할래요|요청|해 ?주세요)|(문자|메시지|"
        r"메세지)(를|을)? ?(받고 ?싶지|받기 ?싫|원하지 ?않)|(번호|저)(를|을)? ?(목록|명단|리스트)에서 ?(빼|삭제|"
        r"제외|지워)",
        unless=r"왜|어떻게|방법|언제|멈추지 ?마|중지하지 ?마|그만두지 ?마",
        fillers="",
    ),
    "hi": Words(
        stop=r"रोकें|रोको|रोकिए|बंद करो|बंद करें|बंद कीजिए|बन्द करो|बन्द करें|स्टॉप|सदस्यता (रद्द|समाप्त) करें|अनसब्सक्राइब|band karo|"
        r"band karen|roko",
        start=r"शुरू|शुरू करें|शुरू करो|स्टार्ट|shuru karo",
        phrases=r"(मैसेज|मेसेज|संदेश|सन्देश|एसएमएस|sms|message|msg)(ों)? (भेजना|करना)?( )?(बंद|बन्द) (करो|करें|कीजिए|कर दो|"
        r"कर दीजिए)|(मुझे|मुझको|हमें) (अब |और |कोई |आगे )*((मैसेज|मेसेज|संदेश|सन्देश|एसएमएस|sms|message|msg) )?(मत|न|ना) (भेजो|भेजें|"
        r"भेजिए|भेजना|करो|करें|कीजिए)|(मुझे|मुझको) (अब |और |आपके |कोई )*(मैसेज|मेसेज|संदेश|सन्देश|एसएमएस|sms) नहीं चाहिए|"
        r"मुझसे संपर्क (मत|न) (करो|करें|कीजिए)|(मेरा नंबर|मुझे) (अपनी )?(सूची|लिस्ट) से (हटा|निकाल)|(mujhe )?(message|msg|"
        r"sms) (mat|na) (bhejo|bhejna|karo|karna)|(message|msg|sms) (bhejna )?band (karo|karen|kar do)",
        unless=r"(^| )(क्यों|कैसे|कब|kyon|kyun|kaise|kab)( |$)|(बंद|बन्द) (मत|न) ",
        fillers="कृपया प्लीज धन्यवाद अब अभी नमस्ते please",
    ),
    "zh": Words(
        stop=r"(请|請)?停止|停|退订|退訂|取消订阅|取消訂閱|停止(发送|發送|短信|訊息|信息|消息)|别发了|別發了|"
        r"不要再发了?|不要再發了?|唔好再send|唔好再傳|唔好再發",
        start=r"开始|開始|恢复|恢復|重新订阅|重新訂閱",
        phrases=r"(别|別|不要|请勿|請勿|勿|唔好|咪)(再)?(给我|給我|向我|跟我|同我|俾我)?(再)?(发|發|傳|传|send|"
        r"寄)(送|来|來|任何)*(给我|給我|俾我)?(短信|短訊|信息|訊息|消息|讯息|简讯|簡訊|微信|sms|message|msg|了$|啦$|"
        r"嘢$)|(别|別|不要|请勿|請勿|唔好|咪)(再)?(联系|聯繫|聯絡|联络|骚扰|騷擾|打扰|打擾|搵)我|(我要|我想|帮我|"
        r"幫我|请|請|幫手)(退订|退訂|取消订阅|取消訂閱)|停止(给|給|向|俾)我(发|發|傳|传|send)|(我)?(不想|不愿|"
        r"唔想)(再)?(收到|收)(你们的|你們的|你哋嘅|任何|这些|這些|呢啲)?(短信|短訊|信息|訊息|消息|讯息|sms|message)|"
        r"(把|将|將)(我|我的号码|我的號碼|我嘅號碼)(从|從|由|喺)?(你们的|你們的|你哋嘅)?(名单|名單|列表|清單)(中|里|"
        r"裡|度)?(删除|刪除|移除|剔除)",
        unless=r"为什么|為什麼|为何|為何|点解|點解|怎么|怎麼|如何|点样|點樣|不要停|唔好停|别停|別停",
        fillers="",
    ),
}
